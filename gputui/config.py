"""The user's TOML file into typed values, strictly; and where files lie (XDG)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import platformdirs
from msgspec import Meta, Struct

from gputui.errors import ConfigError
from gputui.identity import GpuIdentity, GpuSelectionError, select_gpus
from gputui.text import clean_line, nearest

Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
Digit = Annotated[str, Meta(pattern=r"^[1-9]\Z")]
Plain = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]*\Z")]
"""No control character: no path, host or program has one, and none can hold NUL."""
Argument = Annotated[str, Meta(pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*\Z")]
"""As ``Plain``, but a chat template given as an argument may have lines and tabs."""

OWNED_FLAGS: dict[str, str] = {
    "--port": "port",
    "--host": "host",
    "-m": "model",
    "--model": "model",
    "-a": "name",
    "--alias": "name",
    "--metrics": "",
    "--sse-ping-interval": "",
    "--log-file": "",
    "--log-disable": "",
    "-dev": "gpus",
    "--device": "gpus",
    "-c": "ctx_size",
    "--ctx-size": "ctx_size",
    "-ngl": "n_gpu_layers",
    "--gpu-layers": "n_gpu_layers",
    "--n-gpu-layers": "n_gpu_layers",
    "-b": "batch_size",
    "--batch-size": "batch_size",
    "-ub": "ubatch_size",
    "--ubatch-size": "ubatch_size",
    "-t": "threads",
    "--threads": "threads",
    "-np": "parallel",
    "--parallel": "parallel",
    "-sm": "split_mode",
    "--split-mode": "split_mode",
    "-ts": "tensor_split",
    "--tensor-split": "tensor_split",
}
"""llama-server flags that gputui sets itself, and the field to use instead ("" for none)."""


class _Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: an unknown key in it is an error."""


class InstanceConfig(_Table, frozen=True):
    """One ``[[instances]]`` table. None leaves llama-server's own default in force."""

    name: Name
    model: Plain
    port: Port
    key: Digit | None = None
    gpus: tuple[str, ...] = ()
    host: Plain = "127.0.0.1"
    ctx_size: NotNegative | None = None
    n_gpu_layers: NotNegative | Literal["auto", "all"] | None = None
    batch_size: Positive | None = None
    ubatch_size: Positive | None = None
    threads: Positive | None = None
    parallel: Positive | None = None
    split_mode: Literal["layer", "none", "row", "tensor"] | None = None
    tensor_split: tuple[float, ...] = ()
    llama_server: Plain | None = None
    stop_grace_seconds: Annotated[float, Meta(gt=0, le=600)] = 10.0
    args: tuple[Argument, ...] = ()

    @property
    def url(self) -> str:
        """Where a client on this host reaches the server, without a trailing slash."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


class EndpointConfig(_Table, frozen=True):
    """One ``[[endpoints]]`` table: an OpenAI-compatible server that gputui only talks to."""

    name: Name
    url: Annotated[str, Meta(pattern=r"^https?://[^\x00-\x20\x7f]+\Z")]
    model: str | None = None
    api_key_env: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z")] | None = None


class PowerConfig(_Table, frozen=True):
    """The ``[power]`` table: what the GPUs' sum is held against, and what a kWh costs."""

    psu_watts: Annotated[float, Meta(gt=0)] | None = None
    price_per_kwh: Annotated[float, Meta(ge=0)] | None = None
    currency: Annotated[str, Meta(max_length=4)] = "$"


class Config(_Table, frozen=True):
    """The whole file. ``interval`` is in seconds between samples."""

    interval: Annotated[float, Meta(ge=0.1, le=60)] = 1.0
    theme: str = "midnight"
    llama_server: Plain = "llama-server"
    source: Plain = "auto"
    power: PowerConfig = PowerConfig()
    instances: tuple[InstanceConfig, ...] = ()
    endpoints: tuple[EndpointConfig, ...] = ()
    keys: dict[str, str] = {}


def config_dir() -> Path:
    """Where the user's configuration lies; not created by asking."""
    return platformdirs.user_config_path("gputui")


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
    _check_keys(data, Config, "", file)
    try:
        config = msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), data, file), _expectation(str(error))) from error
    _check_unique(config, file)
    _check_args(config, file)
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


_LISTS: dict[str, type[Struct]] = {"instances": InstanceConfig, "endpoints": EndpointConfig}
_TABLES: dict[str, type[Struct]] = {"power": PowerConfig}


def _check_keys(data: dict[str, Any], table: type[Struct], where: str, file: Path) -> None:
    """An unknown key is found here rather than by msgspec, which names neither value nor nearest."""
    for key, value in data.items():
        if key not in table.__struct_fields__:
            near = nearest(key, table.__struct_fields__)
            raise ConfigError(
                f'{file}: {where or "top level"}: unknown key "{clean_line(key)}" = {_show(value)}',
                f'Did you mean "{near}"?' if near else _known(table.__struct_fields__),
            )
        if table is Config and key in _TABLES and isinstance(value, dict):
            _check_keys(value, _TABLES[key], f"[{key}]", file)
        if table is Config and key in _LISTS and isinstance(value, list):
            for number, item in enumerate(value):
                if isinstance(item, dict):
                    _check_keys(item, _LISTS[key], _table_name(key, number, item), file)


def _table_name(key: str, number: int, item: object) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return f"[[{key}]] {clean_line(name) if isinstance(name, str) else f'number {number + 1}'}"


def _explain(error: str, data: dict[str, Any], file: Path) -> str:
    """msgspec's "Expected `int`, got `str` - at `$.instances[0].port`" in the file's own terms."""
    what, _, path = error.partition(" - at `$")
    what = "not allowed here" if "matching regex" in what else what  # the hint says it in words
    value: Any = data
    where, key = "top level", ""
    for field, index in re.findall(r"\.([A-Za-z_]+)|\[(\d+|\.\.\.)\]", path):
        if field:
            key = field
            value = value.get(field) if isinstance(value, dict) else None
            if isinstance(value, dict):
                where = f"[{field}]"
        elif isinstance(value, list) and index.isdecimal():
            value = value[int(index)]
            if isinstance(value, dict):
                where, key = _table_name(key, int(index), value), ""
    shown = f" = {_show(value)}" if key else ""
    return f"{file}: {where}: {key}{shown}: {what[:1].lower()}{what[1:]}".replace(": : ", ": ")


def _expectation(error: str) -> str:
    """What to write instead, where msgspec's own words do not say it."""
    if "Invalid enum value" in error:
        field = error.rsplit(".", 1)[-1].rstrip("`")
        words = list(_literals(get_type_hints(InstanceConfig, include_extras=True)[field]))
        near = nearest(error.split("'")[1], words)
        known = f"Known: {', '.join(words)}."
        return f'Did you mean "{near}"? {known}' if near else known
    hints = {
        "A-Za-z0-9._-": "Use letters, digits, dot, dash and underscore.",
        "^[1-9]": "Use one digit, 1 to 9.",
        "https?": "A URL begins with http:// or https:// and has no space in it.",
        "x00-": "Take out the control character.",
        "missing required": "Add it.",
    }
    return next((hint for part, hint in hints.items() if part in error), "")


def _literals(hint: Any) -> Iterable[str]:
    """The words that a field of this type takes."""
    for option in (hint, *get_args(hint)):
        if get_origin(option) is Literal:
            yield from get_args(option)


def _show(value: object) -> str:
    return clean_line(msgspec.json.encode(value, enc_hook=str).decode(), 60)


def _known(fields: Iterable[str]) -> str:
    return f"Known keys: {', '.join(fields)}."


def _check_unique(config: Config, file: Path) -> None:
    """Names are used as file names and as a chat side's choice; a key starts one instance."""
    names: dict[str, str] = {}
    for kind, tables in (("instances", config.instances), ("endpoints", config.endpoints)):
        for table in tables:
            where = f"[[{kind}]] {table.name}"
            if table.name.lower() in names:
                raise ConfigError(
                    f'{file}: {where}: name = "{table.name}" is taken by {names[table.name.lower()]}',
                    "Every instance and endpoint needs a name of its own.",
                )
            names[table.name.lower()] = where
    keys: dict[str, str] = {}
    for instance in config.instances:
        if instance.key is None:
            continue
        if instance.key in keys:
            free = next((digit for digit in "123456789" if digit not in keys), None)
            raise ConfigError(
                f'{file}: [[instances]] {instance.name}: key = "{instance.key}" is taken by '
                f"[[instances]] {keys[instance.key]}",
                f'Free: "{free}".' if free else "All nine are taken; leave key out.",
            )
        keys[instance.key] = instance.name


def _check_args(config: Config, file: Path) -> None:
    for instance in config.instances:
        for arg in instance.args:
            flag = arg.partition("=")[0]
            if flag in OWNED_FLAGS:
                field = OWNED_FLAGS[flag]
                raise ConfigError(
                    f'{file}: [[instances]] {instance.name}: args has "{flag}", which gputui sets',
                    f"Use the field {field} instead." if field else "Leave it out.",
                )
            if flag in ("--api-key", "--hf-token", "-hft"):
                raise ConfigError(
                    f'{file}: [[instances]] {instance.name}: args has "{flag}": '
                    "a key on a command line is seen by every user of the machine",
                    "Use --api-key-file." if flag == "--api-key" else "Use the variable HF_TOKEN.",
                )
