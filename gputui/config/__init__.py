"""The user's TOML file into typed values, strictly; and where files lie (XDG)."""

from gputui.config.load import load, parse, resolve_gpus
from gputui.config.paths import cache_dir, config_dir, default_path, state_dir
from gputui.config.tables import (
    OWNED_FLAGS,
    AlertConfig,
    ChatConfig,
    Config,
    EndpointConfig,
    GroupConfig,
    InstanceConfig,
    LayoutConfig,
    PowerConfig,
    PowerLimitConfig,
    PresetConfig,
    SamplingTable,
    TargetsConfig,
    TerminalConfig,
    duration_seconds,
    url_of,
)

__all__ = [
    "OWNED_FLAGS",
    "AlertConfig",
    "ChatConfig",
    "Config",
    "EndpointConfig",
    "GroupConfig",
    "InstanceConfig",
    "LayoutConfig",
    "PowerConfig",
    "PowerLimitConfig",
    "PresetConfig",
    "SamplingTable",
    "TargetsConfig",
    "TerminalConfig",
    "cache_dir",
    "config_dir",
    "default_path",
    "duration_seconds",
    "load",
    "parse",
    "resolve_gpus",
    "state_dir",
    "url_of",
]
