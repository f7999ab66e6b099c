"""Where files lie (XDG)."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def config_dir() -> Path:
    """Where the user's configuration lies; not created by asking."""
    return platformdirs.user_config_path("gputui")


def prompts_dir() -> Path:
    """The user's prompt library; not created by asking."""
    return config_dir() / "prompts"


def state_dir() -> Path:
    """Records, locks, logs and the database; ``$GPUTUI_STATE`` overrides. Not created by asking."""
    override = os.environ.get("GPUTUI_STATE")
    return Path(override) if override else platformdirs.user_state_path("gputui")


def cache_dir() -> Path:
    """The demo's parts and other things that can be fetched again. Not created by asking."""
    return platformdirs.user_cache_path("gputui")


def default_path() -> Path:
    """``$GPUTUI_CONFIG``, else ``config.toml`` in the configuration directory."""
    override = os.environ.get("GPUTUI_CONFIG")
    return Path(override) if override else config_dir() / "config.toml"
