"""``gputui init``: a configuration to start from, for the GPUs and models of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from gputui import config as configuration
from gputui.cli.acting import sample
from gputui.cli.root import common_options, options_of
from gputui.config import Config
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity, short_bus_id
from gputui.text import clean_line

_SMALLEST = 50 * 2**20  # vocabularies and other small GGUF files are no models to serve

_HEAD = """\
# gputui. Every key, its meaning and its default; what stands behind "#" is not in force.
# Check this file with: gputui config check

# interval = 1.0                  # seconds between samples
# theme = "midnight"              # ctrl+p in the dashboard shows them all
# llama_server = "llama-server"   # a name on PATH, or a path
# source = "auto"                 # where GPU readings come from: auto, nvml, simulated
# on_alert = ["notify-send", "{severity}", "{message}"]  # run when an alert begins and ends
# alert_bell = false              # the terminal's bell, too

# [terminal]
# unfocused_interval = 2.0        # seconds between samples while the terminal has no focus; 0: never slower
# idle_after = "15m"              # without a key, and from then on ...
# idle_interval = 5.0             # ... so many seconds between samples

# [power]
# psu_watts = 1000                # what your power supply can give
# price_per_kwh = 0.30
# currency = "$"
"""

_INSTANCE = """
[[instances]]
name = {name}
key = "{key}"                         # start or stop with this key, 1 to 9
model = {model}
gpus = [{gpus}]  # UUID, PCI bus id, part of the name, or index; [] is CPU only
port = {port}
# ctx_size = 8192                 # tokens; 0 is the model's own
# n_gpu_layers = "all"            # a number, "auto" or "all"
# parallel = 4                    # requests at once; the context is divided among them
# batch_size = 2048
# ubatch_size = 512
# threads = 8
# stop_grace_seconds = 10         # from SIGTERM to SIGKILL
# args = ["--flash-attn", "on"]   # any other flag of llama-server
# [instances.targets]             # what it should reach; an alert says where it does not
# generation_tokens_per_second = 20
# ttft_seconds = 2
"""

_MORE = """
# One model over two GPUs: name both, in the order of tensor_split.
# [[instances]]
# name = "split"
# model = "/path/to/model.gguf"
# gpus = ["0", "1"]
# split_mode = "layer"
# tensor_split = [96, 32]
# port = 8080                     # instances may share a port: they are alternatives

# Any other OpenAI-compatible server, to chat with:
# [[endpoints]]
# name = "lab"
# url = "http://127.0.0.1:8000/v1"
# api_key_env = "LAB_KEY"         # the name of a variable, never the key itself

# Alerts have built-in rules; a table of one's name changes it, another name makes a rule of your own.
# [[alerts]]
# name = "temperature"
# threshold = 80                  # or enabled = false
# [[alerts]]
# name = "loud"
# metric = "fan_speed"            # all are in the README, under Alerts
# comparison = ">"
# threshold = 90
# for = "5m"
# severity = "warning"

# How the chat asks both sides, and presets to choose from; what is left out is llama.cpp's default.
# [chat]
# system = "Answer briefly."
# temperature = 0.8               # also top_k, top_p, min_p, repeat_penalty, presence_penalty,
# seed = 42                       # frequency_penalty, max_tokens
# cache_prompt = false            # for fair prompt speeds
# order = "together"              # or "one": one after the other
# [[presets]]
# name = "coder"
# system = "You are a senior engineer."
# temperature = 0.2

# A power limit by the time of day (needs root); at its end the limit before is given back.
# [[power_limits]]
# gpus = ["0"]
# watts = 400
# from = "22:00"
# to = "07:00"
"""


@click.command("init")
@click.option("--force", is_flag=True, help="Replace an existing configuration.")
@common_options
@click.pass_context
def command(context: click.Context, force: bool) -> None:
    """Write a configuration for the GPUs and GGUF files found here.

    An existing one is kept, unless --force is given; then the old one is left beside it as .bak.
    """
    options = options_of(context)
    file = options.config_file or configuration.default_path()
    if file.exists() and not force:
        raise GputuiError(f"{file}: exists already", "Edit it, or replace it: gputui init --force")
    snapshot = sample(options, Config())
    for_gpus = snapshot.identities
    if snapshot.problem and not for_gpus:
        click.echo(f"gputui: no GPU: {clean_line(snapshot.problem.message)}", err=True)
    text = render(for_gpus, find_models())
    configuration.parse(text.encode(), file)
    _write(file, text)
    click.echo(file)


def render(gpus: Sequence[GpuIdentity], models: Sequence[Path]) -> str:
    """The text of a configuration: an instance for each GPU, or one on the CPU.

    An instance for which there is no model is only a comment.
    """
    parts = [_HEAD]
    for number, gpu in enumerate(gpus or (None,)):
        model = models[number] if number < len(models) else None
        parts.append(_instance(number, gpu, model))
    parts.append(_MORE)
    others = [f"#   {_quote(str(path))}" for path in models[len(gpus or (None,)) :][:20]]
    if others:
        parts.append("\n".join(("", "# Other models found:", *others, "")))
    return "".join(parts)


def find_models() -> tuple[Path, ...]:
    """GGUF files in the usual folders, the newest first; of a split model its first part."""
    from gputui.models.catalogue import find, usual_folders

    found = find(usual_folders()).files
    return tuple(f.path for f in found if not f.is_projector and f.bytes >= _SMALLEST)


def _instance(number: int, gpu: GpuIdentity | None, model: Path | None) -> str:
    words = _INSTANCE.format(
        name=_quote(f"gpu{gpu.index}" if gpu else "cpu"),
        key=number % 9 + 1,
        model=_quote(str(model or "/path/to/model.gguf")),
        gpus=_quote(gpu.uuid) if gpu else "",
        port=8080 + number,
    )
    if number > 8:
        words = "\n".join(line for line in words.split("\n") if not line.startswith("key"))
    title = f"\n# {_title(gpu)}"
    if model is None:
        commented = "\n".join(f"# {line}" if line else "" for line in words.split("\n"))
        return (
            f"{title}\n# Name a model, and take the first # of each of these lines away.{commented}"
        )
    return title + words


def _title(gpu: GpuIdentity | None) -> str:
    if gpu is None:
        return "On the CPU alone"
    return f"GPU {gpu.index}: {clean_line(gpu.name, 100)}, {short_bus_id(gpu)}"


def _quote(text: str) -> str:
    """A TOML string: JSON's escapes are valid in it."""
    import json

    return json.dumps(text, ensure_ascii=False)


def _write(file: Path, text: str) -> None:
    from gputui.files import write_file

    if file.exists():
        try:
            file.replace(file.with_name(f"{file.name}.bak"))
        except OSError as error:
            raise GputuiError(f"{file}: {error.strerror}") from error
    write_file(file, text.encode())
