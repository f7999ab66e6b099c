"""The user's TOML file into typed values, strictly."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gputui.config.arrangements import check_arrangements
from gputui.config.checks import check_args, check_keys, check_unique, expectation, explain
from gputui.config.cpus import check_cpus
from gputui.config.paths import default_path
from gputui.config.power_limits import check_power_limits
from gputui.config.presets import check_presets
from gputui.config.tables import Config, InstanceConfig
from gputui.errors import ConfigError
from gputui.identity import GpuIdentity, GpuSelectionError, select_gpus


def load(path: Path | None = None) -> Config:
    """The configuration at ``path`` (None: the default path, where a missing file means defaults).

    Raises ConfigError naming file, table, key, value and the nearest valid one.
    """
    file = path or default_path()
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        if path is None and "GPUTUI_CONFIG" not in os.environ:
            return Config()
        raise ConfigError(f"{file}: no such file", "Write one with: gputui init") from None
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    return parse(raw, file)


def parse(raw: bytes, file: Path) -> Config:
    """The configuration in ``raw``; ``file`` is only for messages. Raises ConfigError."""
    try:
        data = msgspec.toml.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error
    check_keys(data, Config, "", file)
    try:
        config = msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(explain(str(error), data, file), expectation(str(error))) from error
    check_unique(config, file)
    check_args(config, file)
    check_arrangements(config, file)
    check_cpus(config, file)
    check_power_limits(config.power_limits, file)
    check_presets(config.presets, file)
    return config


def resolve_gpus(
    instance: InstanceConfig, gpus: Sequence[GpuIdentity], file: Path | None = None
) -> tuple[GpuIdentity, ...]:
    """The GPUs that an instance is pinned to, () for the CPU alone. Raises ConfigError."""
    try:
        return select_gpus(instance.gpus, gpus)
    except GpuSelectionError as error:
        where = f"{file or default_path()}: [[instances]] {instance.name}: gpus"
        raise ConfigError(f"{where}: {error.message}", error.hint) from error
