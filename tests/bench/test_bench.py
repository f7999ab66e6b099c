"""The bench itself: a tiny program is measured, a made-up screen is read, figures are right."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench import report, startup, wire
from tests.bench.chat import token_server
from tests.bench.chat_reading import IN_TIME_SECONDS, Key, read
from tests.bench.figures import median, percentile, ratio, table, with_spread
from tests.bench.measures import between, pss_mib, spent
from tests.bench.programs import PROGRAMS, Installed, Program, chosen
from tests.bench.streams import KINDS, SIDES, WORD, streams
from tests.bench.watched import grown
from tests.support.pty_terminal import Written
from tests.support.standin_nvml import StandinNvml

SETTING = wire.Setting(1, 40, 5)
TINY = "stty -echo -icanon; printf '20.1/32 G'; dd bs=1 count=1 2>&-; stty echo icanon"
floats = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)


def tiny(script: str) -> Installed:
    program = Program("tiny", None, ("sh", "-c", script), r"\d+\.\d/32")
    return Installed(program, program.command, "1", None)


@pytest.fixture(autouse=True)
def _no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "SETTLE_SECONDS", 0.05)


def test_a_tiny_program_is_measured_from_its_start_to_its_end() -> None:
    cost = wire.measure(tiny(TINY), os.environ, SETTING, 0.1)
    assert cost.gpus_shown == 1
    assert cost.first_picture_seconds is not None
    assert cost.first_picture_seconds > 0
    assert cost.quit_seconds is not None
    assert cost.kib_per_second == 0, "it wrote all before"
    assert cost.mib > 0


def test_a_terminal_that_is_not_given_back_is_no_quit() -> None:
    cost = wire.measure(tiny(TINY.removesuffix("; stty echo icanon")), os.environ, SETTING, 0.05)
    assert cost.quit_seconds is None


def test_the_first_picture_is_the_first_gpu_and_those_that_stand_are_counted() -> None:
    reads = [Written(1.0, b"GPU 20.1/32"), Written(2.0, b"\x1b[H\x1b[2J20.1/32 and 22.2/32")]
    assert wire.pictures(reads, (40, 5), r"\d+\.\d/32") == (1.0, 2)
    assert wire.pictures(reads[:0], (40, 5), r"\d+\.\d/32") == (None, 0)


def test_who_cannot_be_measured_is_named_with_the_reason(
    nvml_library: Path, tmp_path: Path
) -> None:
    programs = [
        Program("ends", None, ("sh", "-c", "echo no GPU"), "x"),
        Program("blind", None, ("sh", "-c", TINY), "no such thing"),
        Program("absent", None, ("/nowhere/program",), "x"),
    ]
    standin = StandinNvml(nvml_library, tmp_path)
    results = wire.run(wire.Plan({}, 1.0), programs, standin, tmp_path)
    assert results.installed == ()
    assert set(results.left_out) == {"ends", "blind", "absent"}
    assert "no GPU" in results.left_out["ends"]
    assert "shows no GPU" in results.left_out["blind"]
    lines = "\n".join(wire.report(results, 1.0))
    assert all(f"- {program.name} is left out: " in lines for program in programs)


def test_programs_are_chosen_by_name_or_made_of_a_command() -> None:
    assert chosen([]) == PROGRAMS
    own, nvitop = chosen(["mine=top -d 1", "nvitop"])
    assert own.command == ("top", "-d", "1")
    assert nvitop.package is not None
    assert "==" in nvitop.package
    with pytest.raises(SystemExit, match="nvitop"):
        chosen(["nvitpo"])


def cost(sent: float, cpu: float) -> wire.Cost:
    return wire.Cost(sent, cpu, 60.0, 10.0, 0.5, 0.1, 2)


def test_the_table_has_ratios_of_gputui_to_each_peer_and_says_where_it_is_worse() -> None:
    costs = {"gputui": [cost(1.0, 3.0), cost(3.0, 3.0)], "peer": [cost(4.0, 1.0)]}
    lines = wire.setting_table(costs)
    assert "2.00 (1.00–3.00)" in lines[2]
    assert [cell.strip() for cell in lines[4].split("|")[1:4]] == [
        "gputui / peer",
        "0.50×",
        "3.00×",
    ]
    assert list(report.worse(costs)) == ["- Worse than peer in: CPU (3.0×)."]


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=60), st.integers(1, 99))
def test_a_percentile_is_that_of_the_standard_library(values: list[float], share: int) -> None:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    assert percentile(values, share / 100) == pytest.approx(cuts[share - 1])
    assert percentile(values, 0) == min(values)
    assert percentile(values, 1) == max(values)


@given(floats)
def test_the_middle_percentile_is_the_median(values: list[float]) -> None:
    assert percentile(values, 0.5) == pytest.approx(statistics.median(values))
    assert median(values) == statistics.median(values)
    assert median([*values, None]) is None


def test_what_is_not_known_stays_so() -> None:
    assert median([]) is None
    assert ratio(None, 1.0) is None
    assert ratio(1.0, 0.0) is None
    assert with_spread([1.0, None]) == "–"
    assert with_spread([1.04, 1.01]) == "1.0"


def test_a_table_is_aligned_its_numbers_to_the_right() -> None:
    rows = [["gputui", "1"], ["x", "100"]]
    assert table(("", "KiB"), rows) == [
        "|        | KiB |",
        "| ------ | --: |",
        "| gputui |   1 |",
        "| x      | 100 |",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_is_a_word_of_its_own(kind: str) -> None:
    made = streams(kind, 2000)
    for stream in made.values():
        assert tuple(WORD.findall("".join(stream.tokens))) == stream.words
        assert all(
            WORD.findall(token) == [stream.words[at]] for at, token in enumerate(stream.tokens)
        )
    words = [word for side in SIDES for word in made[side].words]
    assert len(set(words)) == len(words)
    assert made == streams(kind, 2000), "the server and the bench make the same"


def test_tokens_and_keys_on_a_screen_are_told_by_their_times() -> None:
    """Side a is on time but for its last token, side b is never seen after its first."""
    made = streams("prose", 4)
    sent = dict.fromkeys(SIDES, (10.0, 11.0, 12.0, 13.0))
    a, b = (made[side].words for side in SIDES)
    keys = [Key(10.5, ":k"), Key(12.5, ":kl"), Key(13.2, ":klm")]
    reads = [
        Written(1.0, f"\x1b[2;1H{a[3]}".encode()),  # before it went out: it cannot be that token
        Written(10.1, f"\x1b[H{a[0]} {b[0]}".encode()),
        Written(10.6, b"\x1b[5;1H:k"),
        Written(12.1, f"\x1b[2;1H{a[1]} {a[2]} ".encode()),
        Written(13.0, b"\x1b[5;1H:kl"),
        Written(13.0 + IN_TIME_SECONDS + 1, f"\x1b[3;1H{a[3]}".encode()),
    ]
    shown = read(reads, (60, 5), made, sent, keys)
    assert shown.share == pytest.approx(4 / 8)
    assert shown.in_time == pytest.approx(3 / 8)
    assert sorted(shown.delays) == pytest.approx([0.1, 0.1, 0.1, 1.1, 1.25])
    assert shown.first == pytest.approx(0.1)
    assert shown.stall == pytest.approx(13.0 + IN_TIME_SECONDS - 10.1)
    assert shown.keys == pytest.approx([0.1, 0.5])
    assert shown.keys_lost == 1


def test_the_server_sends_each_token_and_says_when(tmp_path: Path) -> None:
    with token_server(tmp_path, "code", 500, 30) as url:
        before = time.monotonic()
        for side in SIDES:
            body = httpx.post(f"{url}/{side}/v1/chat/completions", json={}, trust_env=False).text
            text = "".join(streams("code", 30)[side].words[:1])
            assert text in body
            assert body.count('"content": "') == 30
        sent = [float(one) for one in (tmp_path / "sent-b.json").read_text()[1:-1].split(",")]
        assert len(sent) == 30
        assert sent == sorted(sent)
        assert before < sent[0]
        assert sent[-1] < time.monotonic()
        assert (tmp_path / "answered").read_text() == "2"


def test_import_times_are_read_and_added_up_by_package() -> None:
    text = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:       120 |        120 |   os.path\n"
        "warning: something else\n"
        "import time:      2000 |       2120 | textual.app\n"
        "import time:      1000 |       1000 |     textual\n"
    )
    found = startup.imports(text)
    assert [(one.name, one.own_ms, one.whole_ms) for one in found] == [
        ("os.path", 0.12, 0.12),
        ("textual.app", 2.0, 2.12),
        ("textual", 1.0, 1.0),
    ]
    assert startup.packages(found)[0] == ("textual", 2, 3.0)
    assert startup.packages(found)[1][:2] == ("standard library", 1)


def test_only_what_is_between_the_marks_is_written(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.put(readme, ["new", "table"])
    once = readme.read_text()
    assert once == f"before\n{report.BEGIN}\n\nnew\ntable\n\n{report.END}\nafter\n"
    report.put(readme, ["new", "table"])
    assert readme.read_text() == once
    readme.write_text("no marks")
    with pytest.raises(ValueError, match="bench"):
        report.put(readme, ["new"])


def test_the_readme_has_the_marks() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    assert 0 < text.index(report.BEGIN) < text.index(report.END)


def test_a_process_is_measured_by_its_own_clock() -> None:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        before = spent(process.pid)
        while spent(process.pid).cpu_seconds < before.cpu_seconds + 0.02:
            time.sleep(0.005)
        used = between(before, spent(process.pid))
        assert 0 < used.cpu_percent < 110
        assert pss_mib(process.pid) > 1
    finally:
        process.kill()
        process.wait()
    assert spent(process.pid).cpu_seconds == 0, "nothing is known of what is gone"


def test_types_that_grow_are_told_the_most_first() -> None:
    before, after = Counter(a=5, b=5, c=1), Counter(a=15, b=6, d=40)
    assert grown(before, after, 10) == [("d", 0, 40), ("a", 5, 15)]
