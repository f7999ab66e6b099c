from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gputui.errors import GputuiError
from gputui.gpu.recorded import RecordedSource
from gputui.gpu.simulated import SIMULATED_GPUS
from gputui.gpu.sources import open_source
from gputui.gpu.trace_writer import write_trace


@pytest.mark.parametrize("word", ["auto", "nvml"])
def test_words_for_the_driver_load_nothing_of_it(word: str) -> None:
    program = f"""
import sys
from gputui.gpu.sources import open_source
source = open_source({word!r}, dict)
assert source.name == "nvml"
assert not {{"pynvml", "psutil", "textual", "msgspec"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_simulated_and_a_trace(tmp_path: Path) -> None:
    simulated = open_source("simulated", dict)
    assert simulated.name == "simulated"
    path = tmp_path / "a.trace.gz"
    write_trace(path, simulated.samples())
    recorded = open_source(str(path), dict, speed=60)
    assert isinstance(recorded, RecordedSource)
    assert recorded.samples()[0].identities == SIMULATED_GPUS


@pytest.mark.parametrize("word", ["auto", "nvml", "simulated"])
def test_the_present_has_no_speed(word: str) -> None:
    with pytest.raises(GputuiError, match="--speed is for recordings"):
        open_source(word, dict, speed=2.0)


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        ("simulatd", 'source "simulatd": no such file', 'Did you mean "simulated"?'),
        ("/no/such.trace", 'source "/no/such.trace": no such file', "a recorded trace"),
        ("/", 'source "/": not a file', "a recorded trace"),
    ],
)
def test_what_names_no_source(spec: str, message: str, hint: str) -> None:
    with pytest.raises(GputuiError) as raised:
        open_source(spec, dict)
    assert raised.value.message == message
    assert hint in raised.value.hint
