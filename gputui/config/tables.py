"""The tables of the configuration file as typed values."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
Digit = Annotated[str, Meta(pattern=r"^[1-9]\Z")]
Plain = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]*\Z")]
"""No control character: no path, host or program has one, and none can hold NUL."""
Argument = Annotated[str, Meta(pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*\Z")]
"""As ``Plain``, but a chat template given as an argument may have lines and tabs."""

Duration = (
    Annotated[float, Meta(ge=0)] | Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?(s|m|h|d)\Z")]
)
"""Seconds as a number, or a number with its unit, as Prometheus writes them: ``90``, ``"10m"``."""
SLOWEST_INTERVAL = 10.0
SlowInterval = Annotated[float, Meta(ge=0, le=SLOWEST_INTERVAL)]
"""Seconds. The history keeps a day in buckets of ten seconds, and each shall hold a sample."""
CpuList = Annotated[str, Meta(pattern=r"^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*\Z")]
"""Logical CPUs as the kernel writes them in cpulist files: ``0-15,32-47``."""
CacheType = Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]
"""The types that llama-server keeps its KV cache in."""
Role = Literal["chat", "embedding", "rerank"]
TimeOfDay = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z")]
"""Local time, ``22:30``."""

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
    "-ctk": "cache_type_k",
    "--cache-type-k": "cache_type_k",
    "-ctv": "cache_type_v",
    "--cache-type-v": "cache_type_v",
    "-mm": "mmproj",
    "--mmproj": "mmproj",
    "--embedding": "role",
    "--embeddings": "role",
    "--rerank": "role",
    "--reranking": "role",
}
"""llama-server flags that gputui sets itself, and the field to use instead ("" for none)."""


def flag_name(argument: str) -> str:
    """The flag in an argument, without a value behind ``=``, as llama-server spells it.

    In a long flag it takes ``_`` for ``-`` (common/arg.cpp: common_params_parse_ex).
    """
    flag = argument.partition("=")[0]
    return flag.replace("_", "-") if flag.startswith("--") else flag


class Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: an unknown key in it is an error."""


class TargetsConfig(Table, frozen=True):
    """What an instance should reach; alerts and the bench hold it against this. None: no target."""

    generation_tokens_per_second: Annotated[float, Meta(gt=0)] | None = None
    ttft_seconds: Annotated[float, Meta(gt=0)] | None = None


def url_of(host: str, port: int) -> str:
    """Where a client on this host reaches a server that is bound so, without a trailing slash."""
    reached = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


class InstanceConfig(Table, frozen=True):
    """One ``[[instances]]`` table. None leaves llama-server's own default in force.

    ``role`` is what it is for; ``mmproj`` the file that lets a model see. ``restart``: after a crash, or
    never. Of the instances of one ``group`` one runs at a time. ``idle_unload``: stopped after so long
    without a request; None for never. ``cpus`` and ``numa_node`` are what it may run on; None for all.
    """

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
    cache_type_k: CacheType | None = None
    cache_type_v: CacheType | None = None
    role: Role = "chat"
    mmproj: Plain | None = None
    restart: Literal["never", "on-failure"] = "never"
    group: Name | None = None
    idle_unload: Duration | None = None
    cpus: CpuList | None = None
    numa_node: NotNegative | None = None
    llama_server: Plain | None = None
    stop_grace_seconds: Annotated[float, Meta(gt=0, le=600)] = 10.0
    args: tuple[Argument, ...] = ()
    targets: TargetsConfig = TargetsConfig()

    @property
    def url(self) -> str:
        """Where a client on this host reaches the server, without a trailing slash."""
        return url_of(self.host, self.port)


class GroupConfig(Table, frozen=True):
    """One ``[[groups]]`` table: what happens where a member is to start while another one answers.

    ``refuse``: it does not start; ``queue``: it starts once the other is idle; ``stop``: the answer is
    broken off. A group without a table refuses.
    """

    name: Name
    when_busy: Literal["refuse", "queue", "stop"] = "refuse"


class LayoutConfig(Table, frozen=True):
    """One ``[[layouts]]`` table: instances that run together, and no others on their GPUs and ports."""

    name: Name
    instances: Annotated[tuple[Name, ...], Meta(min_length=1)]


class EndpointConfig(Table, frozen=True):
    """One ``[[endpoints]]`` table: an OpenAI-compatible server that gputui only talks to."""

    name: Name
    url: Annotated[str, Meta(pattern=r"^https?://[^\x00-\x20\x7f]+\Z")]
    model: str | None = None
    api_key_env: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z")] | None = None


class PowerConfig(Table, frozen=True):
    """The ``[power]`` table: what the GPUs' sum is held against, and what a kWh costs."""

    psu_watts: Annotated[float, Meta(gt=0)] | None = None
    price_per_kwh: Annotated[float, Meta(ge=0)] | None = None
    currency: Annotated[str, Meta(max_length=4)] = "$"


class TerminalConfig(Table, frozen=True):
    """The ``[terminal]`` table. ``differences``: send the terminal only what differs from what it shows.

    The others are seconds between two samples, and two pictures: ``unfocused_interval`` while the terminal
    has lost focus (those that do not tell never have), ``idle_interval`` once no key was pressed for
    ``idle_after``. 0 is never slower; nothing is faster than ``interval``.
    """

    differences: bool = True
    unfocused_interval: SlowInterval = 2.0
    idle_after: Duration = 900.0
    idle_interval: SlowInterval = 5.0


class SamplingTable(Table, frozen=True):
    """How a model is asked, under llama-server's names; None: not said.

    ``seed`` -1 and 4294967295 are llama-server's words for a seed of its own choice, so they are none.
    """

    system: str | None = None
    temperature: Annotated[float, Meta(ge=0, le=5)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Meta(gt=0, le=5)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**32 - 2)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    cache_prompt: bool | None = None


Order = Literal["together", "one"]
"""Whether the sides of the chat answer at once, or one after the other."""


class ChatConfig(SamplingTable, frozen=True):
    """The ``[chat]`` table: how both sides are asked until the user says otherwise."""

    order: Order = "together"


class PresetConfig(SamplingTable, frozen=True, kw_only=True):
    """One ``[[presets]]`` table: a system prompt and parameters by a name. ``order`` None: as it is."""

    name: Name
    order: Order | None = None


class AlertConfig(Table, frozen=True):
    """One ``[[alerts]]`` table: a rule of the user's own, or changes to a built-in rule of that name.

    None leaves what the built-in rule says. ``gpus`` are selectors as for instances, ``instances`` are
    names; the rule then holds for them alone.
    """

    name: Name
    enabled: bool = True
    metric: str | None = None
    comparison: Literal[">", ">=", "<", "<=", "==", "!="] | None = None
    threshold: float | None = None
    for_: Duration | None = field(default=None, name="for")
    keep_firing_for: Duration | None = None
    severity: Literal["warning", "critical"] | None = None
    gpus: tuple[str, ...] | None = None
    instances: tuple[str, ...] | None = None


class PowerLimitConfig(Table, frozen=True):
    """One ``[[power_limits]]`` table: the limit of some GPUs between two times of the local day.

    Where ``from`` is later than ``to`` it reaches over midnight; where they are the same, it is all day.
    """

    gpus: Annotated[tuple[str, ...], Meta(min_length=1)]
    watts: Annotated[float, Meta(gt=0)]
    from_: TimeOfDay = field(name="from")
    to: TimeOfDay


class Config(Table, frozen=True):
    """The whole file. ``interval`` is in seconds between samples.

    ``on_alert`` is a program and its arguments, run when an alert begins or ends; () for none.
    ``alert_bell``: the terminal's bell, too. ``login_scope``: where the system ends a user's processes at
    logout, servers start in a systemd scope of their own (auto), or as they are (never).
    """

    interval: Annotated[float, Meta(ge=0.1, le=60)] = 1.0
    theme: str = "midnight"
    llama_server: Plain = "llama-server"
    source: Plain = "auto"
    login_scope: Literal["auto", "never"] = "auto"
    terminal: TerminalConfig = TerminalConfig()
    power: PowerConfig = PowerConfig()
    instances: tuple[InstanceConfig, ...] = ()
    groups: tuple[GroupConfig, ...] = ()
    layouts: tuple[LayoutConfig, ...] = ()
    endpoints: tuple[EndpointConfig, ...] = ()
    keys: dict[str, str] = {}
    alerts: tuple[AlertConfig, ...] = ()
    on_alert: tuple[Argument, ...] = ()
    alert_bell: bool = False
    power_limits: tuple[PowerLimitConfig, ...] = ()
    chat: ChatConfig = ChatConfig()
    presets: tuple[PresetConfig, ...] = ()

    @property
    def longest_interval(self) -> float:
        """Seconds that may pass between two samples of a dashboard, whatever ``[terminal]`` says later on."""
        return max(self.interval, SLOWEST_INTERVAL)


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration_seconds(duration: float | str) -> float:
    """The seconds of a ``Duration``."""
    if isinstance(duration, str):
        return float(duration[:-1]) * _SECONDS[duration[-1]]
    return float(duration)
