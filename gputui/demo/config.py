"""The demo's configuration file: two instances on the two simulated GPUs of the reference rig."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from gputui.config import state_dir
from gputui.config.toml_text import written
from gputui.demo.parts import Parts
from gputui.files import write_file

INSTANCES = ("smollm2", "gemma3")
"""The names of the demo's instances."""

FIRST_PORT = 8080

_FILE = """\
# Written by `gputui demo`, and again at each `gputui demo`: copy it before you change it.
source = "simulated"
llama_server = {llama_server}

[[instances]]
name = "smollm2"
key = "1"
model = {smollm2}
gpus = ["PRO 6000"]
port = {smollm2_port}
ctx_size = 4096
n_gpu_layers = 0
threads = 1

[[instances]]
name = "gemma3"
key = "2"
model = {gemma3}
gpus = ["5090"]
port = {gemma3_port}
ctx_size = 4096
n_gpu_layers = 0
threads = 1
# This small Gemma is a base model: it goes on with a text, and never was taught to chat. Questions
# and answers are a text that it can go on with; it would go on for ever, so the next question,
# or 200 tokens, end an answer.
args = {gemma3_args}

[chat]
# Both are asked alike; a base model needs more to keep to its subject, and not to repeat itself.
temperature = 0.5
repeat_penalty = 1.15
"""

_QUESTIONS_AND_ANSWERS = (
    "{% for m in messages %}"
    "{{ 'Question: ' if m.role == 'user' else 'Answer: ' if m.role == 'assistant' else '' }}"
    "{{ m.content }}\n"
    "{% endfor %}Answer:"
)
_GEMMA3_ARGS = (
    *("--chat-template", _QUESTIONS_AND_ANSWERS),
    *("--reverse-prompt", "\nQuestion"),
    *("--predict", "200"),
)


def demo_config_path() -> Path:
    """Where the demo's configuration lies; not created by asking."""
    return state_dir() / "demo.toml"


def write_config(
    path: Path, parts: Parts, running: Mapping[str, int], is_free: Callable[[int], bool]
) -> None:
    """Write the demo's configuration (0600, whole or not at all). Raises GputuiError.

    A running instance keeps its port (``running``: port by name); the others get the first ports
    from 8080 up that ``is_free``.
    """
    ports = choose_ports(running, is_free)
    text = _FILE.format(
        llama_server=written(parts.llama_server),
        smollm2=written(parts.smollm2),
        gemma3=written(parts.gemma3),
        gemma3_args=written(_GEMMA3_ARGS),
        smollm2_port=ports["smollm2"],
        gemma3_port=ports["gemma3"],
    )
    write_file(path, text.encode())


def choose_ports(running: Mapping[str, int], is_free: Callable[[int], bool]) -> dict[str, int]:
    """A port for each instance of the demo: its own while it runs, else the next free one."""
    ports = {name: running[name] for name in INSTANCES if name in running}
    for name in INSTANCES:
        if name not in ports:
            candidates = (
                port
                for port in range(FIRST_PORT, 2**16)
                if port not in ports.values() and is_free(port)
            )
            ports[name] = next(candidates)
    return ports
