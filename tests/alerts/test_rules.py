"""Every built-in rule fires for what it is about and for nothing else; the configuration changes them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gputui.alerts.command import check_command
from gputui.alerts.readings import READINGS
from gputui.alerts.rules import BUILT_IN, Rule, duration, resolve, rules_of
from gputui.alerts.views import BUSY_SECONDS, RigView, Scope
from gputui.alerts.watch import AlertWatch
from gputui.config import Config, InstanceConfig, PowerConfig, TargetsConfig, parse
from gputui.errors import ConfigError
from gputui.gpu.metrics import METRICS
from gputui.gpu.sample import GpuProcess, GpuSample, HostProcess, Problem
from gputui.host import Disk, HostSample
from gputui.instances.status import InstanceStatus, State
from gputui.processes import ProcessIdentity
from tests.alerts.making import gpu, identity, snapshot, status

FILE = Path("rig.toml")
CODER = InstanceConfig(
    name="coder",
    model="m.gguf",
    port=8080,
    targets=TargetsConfig(generation_tokens_per_second=13, ttft_seconds=2),
)
CONFIG = Config(instances=(CODER,), power=PowerConfig(psu_watts=1000))
IDLE = {"utilization_gpu": 0.0, "throttle_reasons": 1.0}


@dataclass
class Seen:
    """What the watch sees at every second: a GPU, an instance, the TTFT of an answer."""

    gpu: GpuSample = field(default_factory=lambda: gpu(**IDLE))
    status: InstanceStatus | Callable[[int], InstanceStatus] = field(default_factory=status)
    ttft: float | None = None


def on_gpu(**values: float) -> Seen:
    return Seen(gpu=gpu(**(IDLE | values)))


def of(state: State = State.READY, **more: object) -> Seen:
    return Seen(status=status(state=state, **more))


def failing(each: int) -> Seen:
    """An instance that gets one request a second and fails every ``each``-th."""
    return Seen(
        status=lambda second: status(
            requests_total=995 + second, requests_failed=(995 + second) // each
        )
    )


def holding(pid: int, index: int) -> GpuSample:
    """A GPU that holds 2.1 GiB of a process."""
    host = HostProcess(ProcessIdentity(pid, 1, "b"), "me", "x", 0.0, True)
    found = GpuProcess(pid, "x", int(2.1 * 2**30), host=host)
    return replace(gpu(index, **IDLE), processes=(found,))


BUSY = {"utilization_gpu": 97.0}
LINK = {"pcie_link_gen_max": 5.0, "pcie_link_width_max": 16.0}
CASES: dict[str, tuple[Seen, list[Seen], str]] = {
    "temperature": (
        on_gpu(temperature_gpu=86),
        [on_gpu(temperature_gpu=85), on_gpu()],
        "GPU 0 temperature 86 °C (> 85 °C for 30 s)",
    ),
    "temperature-critical": (
        on_gpu(temperature_gpu=91),
        [on_gpu(temperature_gpu=90)],
        "GPU 0 temperature 91 °C (> 90 °C for 10 s)",
    ),
    "memory": (
        on_gpu(memory_used=96, memory_total=100),
        [on_gpu(memory_used=95, memory_total=100), on_gpu(memory_used=96)],
        "GPU 0 memory used 96 % (> 95 % for 1 min)",
    ),
    "power-supply": (
        on_gpu(power_draw=901),
        [on_gpu(power_draw=900), on_gpu()],
        "rig power draw 901 of 1000 W (> 90 % for 10 s)",
    ),
    "throttle-thermal": (
        on_gpu(throttle_reasons=0x40 | 0x8 | 0x4),
        [on_gpu(throttle_reasons=0x4), on_gpu(throttle_reasons=0x8), on_gpu(throttle_reasons=0x80)],
        "GPU 0 held down by heat: HW thermal",
    ),
    "throttle-power-brake": (
        on_gpu(throttle_reasons=0x80 | 0x8),
        [on_gpu(throttle_reasons=0x8), on_gpu(throttle_reasons=0x20)],
        "GPU 0 held down by the power brake: the power supply or the board asks for it",
    ),
    "throttle-hw-slowdown": (
        on_gpu(throttle_reasons=0x8),
        [on_gpu(throttle_reasons=0x8 | 0x40), on_gpu(throttle_reasons=0x88), on_gpu()],
        "GPU 0 slowed down by its hardware, by half or more",
    ),
    "pcie-width": (
        on_gpu(pcie_link_width=8, **LINK),
        [on_gpu(pcie_link_width=16, **LINK), on_gpu(pcie_link_width=8)],
        "GPU 0 PCIe link ×8 of ×16",
    ),
    "pcie-generation": (
        on_gpu(pcie_link_gen=3, **BUSY, **LINK),
        [on_gpu(pcie_link_gen=1, **LINK), on_gpu(pcie_link_gen=5, **BUSY, **LINK)],
        "GPU 0 PCIe generation 3.0 of 5.0 while busy",
    ),
    "ecc-uncorrected": (
        on_gpu(ecc_uncorrected=2),
        [on_gpu(ecc_uncorrected=0), on_gpu(ecc_corrected=9)],
        "GPU 0 2 uncorrected ECC errors since the driver loaded",
    ),
    "gpu-lost": (
        Seen(gpu=gpu(problem=Problem("GPU is lost", "Reboot."))),
        [on_gpu()],
        "GPU 0 gives no reading: GPU is lost",
    ),
    "wrong-gpu": (
        Seen(gpu=holding(77, 1), status=status()),
        [
            Seen(gpu=holding(77, 0), status=status()),
            Seen(gpu=holding(78, 1), status=status(state=State.LOADING)),
        ],
        "coder is pinned to a GPU that is gone and holds 2.1 GiB on GPU 1",
    ),
    "idle-gpu": (
        Seen(gpu=gpu(utilization_gpu=19), status=status(slots_busy=1)),
        [
            Seen(gpu=gpu(utilization_gpu=20), status=status(slots_busy=1)),
            Seen(gpu=gpu(utilization_gpu=0), status=status(slots_busy=0)),
            Seen(gpu=gpu(utilization_gpu=0), status=status(slots_busy=1, gpus=())),
            Seen(gpu=gpu(), status=status(slots_busy=1)),
        ],
        "coder is busy, its GPU only 19 % (< 20 % for 5 min)",
    ),
    "generation-speed": (
        of(generation_tokens_per_second=9.1),
        [of(generation_tokens_per_second=13.0), of(), of(generation_tokens_per_second=1, name="x")],
        "coder generates 9.1 of 13.0 tok/s (< 100 % for 10 min)",
    ),
    "ttft": (Seen(ttft=2.1), [Seen(ttft=2.0), Seen()], "coder TTFT 2.1 s, target 2.0 s"),
    "queue": (
        of(requests_deferred=6),
        [of(requests_deferred=5), of()],
        "coder queue of 6 (> 5 for 30 s)",
    ),
    "error-rate": (
        failing(each=100),
        [failing(each=10**9), of(), of(requests_total=500, requests_failed=500)],
        "coder error rate 10 %, 1 of 10 requests (> 0.1 %)",
    ),
    "instance-hung": (
        of(stalled_seconds=150.0),
        [of(stalled_seconds=119.0), of(), of(stalled_seconds=0.0)],
        "coder is busy, and no token for 2 min",
    ),
    "instance-failed": (
        of(State.FAILED, last_error="out of GPU memory"),
        [of(State.STOPPED), of(State.LOADING), of(State.FAILED, restart_at=1e9 + 8)],
        "coder failed: out of GPU memory",
    ),
}
"""What each built-in rule fires for, what it does not fire for, and its message."""


def told(seen: Seen, seconds: float) -> dict[str, str]:
    """The messages of what fires at any time within so many seconds, by rule."""
    now = [1e9]
    watch = AlertWatch(CONFIG, rules_of(CONFIG), None, clock=lambda: now[0], steady=lambda: now[0])
    found: dict[str, str] = {}
    for second in range(int(seconds) + 1):
        now[0] = 1e9 + second
        watch.sampled(snapshot(now[0], seen.gpu))
        if seen.ttft is not None and second == 0:
            watch.answered("coder", seen.ttft)
        state = seen.status if isinstance(seen.status, InstanceStatus) else seen.status(second)
        watch.observed([state])
        for alert in watch.firing:
            found.setdefault(alert.rule.name, alert.message)
    assert watch.take_problems() == ()
    return found


@pytest.mark.parametrize("rule", BUILT_IN, ids=lambda rule: rule.name)
def test_a_built_in_rule_fires_for_what_it_is_about_after_its_time(rule: Rule) -> None:
    bad, good, message = CASES[rule.name]
    grace = BUSY_SECONDS if rule.name == "pcie-generation" else 10  # requests until a rate is known
    found = told(bad, rule.for_seconds + grace)
    assert found[rule.name] == message
    assert rule.hint or rule.name == "instance-failed", "its row has the reason and the remedy"
    if rule.for_seconds:
        assert rule.name not in told(bad, rule.for_seconds - 1)
    for fine in good:
        assert rule.name not in told(fine, rule.for_seconds + 30)


def test_every_case_is_of_a_rule_and_every_rule_has_one() -> None:
    assert CASES.keys() == {rule.name for rule in BUILT_IN}
    for rule in BUILT_IN:
        assert rule.unless in {"", *CASES}


def test_a_healthy_rig_raises_nothing() -> None:
    values = {metric.name: 0.0 for metric in METRICS} | LINK
    fine = values | {
        "memory_used": 40e9,
        "memory_total": 100e9,
        "pcie_link_gen": 1.0,
        "pcie_link_width": 16.0,
    }
    assert told(Seen(gpu=gpu(**fine)), 700) == {}


def test_a_sum_with_an_unknown_draw_is_not_known() -> None:
    total = READINGS["power_draw_total"]
    both = RigView(snapshot(1, gpu(0, power_draw=600), gpu(1, power_draw=300)), 1000)
    one = RigView(snapshot(1, gpu(0, power_draw=990), gpu(1)), 1000)
    assert (total.value(both), total.value(one)) == (900, None)
    assert READINGS["power_draw_psu_percent"].value(both) == 90
    assert READINGS["power_draw_psu_percent"].value(RigView(both.snapshot, None)) is None


def test_the_host_can_have_rules_too() -> None:
    disks = (Disk("/", 5, 10), Disk("/models", 2, 10))
    host = HostSample(cpu_percent=7.0, memory_used=3, memory_total=4, disks=disks)
    view = RigView(replace(snapshot(1), host=host))
    names = ("host_cpu_percent", "host_memory_percent", "host_disk_free")
    assert [READINGS[name].value(view) for name in names] == [7, 75, 2]
    assert READINGS["host_cpu_percent"].value(RigView(snapshot(1))) is None


def test_every_metric_of_the_table_can_have_a_rule_and_is_said_with_its_unit() -> None:
    for metric in METRICS:
        assert READINGS[metric.name].scope is Scope.GPU
    rule = Rule("r", "power_draw", ">=", 300, 90)
    assert rule.message("GPU 1", "312 W") == "GPU 1 power draw 312 W (>= 300 W for 90 s)"
    assert [duration(s) for s in (1, 59, 60, 90, 600, 3600, 0.5)] == [
        "1 s", "59 s", "1 min", "90 s", "10 min", "1 h", "0.5 s",
    ]  # fmt: skip


# ── what the configuration makes of them ─────────────────────────────────────────────────────────

INSTANCE = '[[instances]]\nname = "coder"\nmodel = "m"\nport = 1\n'


def rules(text: str) -> dict[str, Rule]:
    config = parse((INSTANCE + text).encode(), FILE)
    return {rule.name: rule for rule in rules_of(config, FILE)}


def test_without_alerts_in_the_configuration_the_built_in_rules_hold() -> None:
    assert tuple(rules("").values()) == BUILT_IN


def test_a_built_in_rule_is_changed_in_the_fields_given_and_no_other() -> None:
    found = rules('[[alerts]]\nname = "temperature"\nthreshold = 80\nfor = "2m"\ngpus = ["1"]')
    before = next(rule for rule in BUILT_IN if rule.name == "temperature")
    now = found["temperature"]
    assert (now.threshold, now.for_seconds, now.gpus) == (80, 120, ("1",))
    assert (now.metric, now.comparison, now.severity) == (
        before.metric,
        before.comparison,
        before.severity,
    )
    assert list(found) == [rule.name for rule in BUILT_IN]


def test_a_built_in_rule_can_be_switched_off() -> None:
    found = rules('[[alerts]]\nname = "memory"\nenabled = false')
    assert list(found) == [rule.name for rule in BUILT_IN if rule.name != "memory"]


def test_a_rule_of_ones_own_is_added_and_one_that_is_switched_off_is_checked_all_the_same() -> None:
    own = '[[alerts]]\nname = "loud"\nmetric = "fan_speed"\ncomparison = ">="\nthreshold = 80\n'
    made = rules(own + 'keep_firing_for = 5\nseverity = "critical"')["loud"]
    assert (made.metric, made.comparison, made.threshold) == ("fan_speed", ">=", 80)
    assert (made.for_seconds, made.keep_firing_seconds, made.severity) == (0, 5, "critical")
    assert made.message("GPU 0", "93 %") == "GPU 0 fan speed 93 % (>= 80 %)"
    assert "loud" not in rules(own + "enabled = false")
    with pytest.raises(ConfigError):
        rules(own.replace("fan_speed", "fan_sped") + "enabled = false")


OWN = '[[alerts]]\nname = "mine"\nmetric = "{}"\ncomparison = ">"\nthreshold = 1\n'


@pytest.mark.parametrize(
    ("text", "parts", "hint"),
    [
        (OWN.format("temprature_gpu"), ["[[alerts]] mine", '"temprature_gpu"'], '"temperature_gpu"'),
        (OWN.format("zzz"), ['"zzz"', "no such metric"], "README"),
        ('[[alerts]]\nname = "temprature"\n', ["[[alerts]] temprature", "threshold"], '"temperature"'),
        ('[[alerts]]\nname = "zzz"\nenabled = false', ["zzz"], "Built-in: temperature-critical,"),
        ('[[alerts]]\nname = "m"\nmetric = "fan_speed"\nthreshold = 1', ["needs comparison"], ""),
        (OWN.format("fan_speed") + 'instances = ["coder"]', ["fan_speed is of each GPU"], "Leave"),
        (OWN.format("failed") + 'gpus = ["0"]', ["failed is of each instance"], "Leave gpus out"),
        (OWN.format("power_draw_total") + 'gpus = ["0"]', ["of the whole rig"], "Leave gpus out"),
        (OWN.format("failed") + 'instances = ["codr"]', ['"codr"'], 'Did you mean "coder"?'),
        (OWN.format("failed") + 'instances = ["zzz"]', ['"zzz"'], "Configured: coder."),
        ('[[alerts]]\nname = "memory"\nmetric = "fan_speed"', ["memory_used_percent"], "another name"),
        (OWN.format("fan_speed").replace("= 1\n", "= nan\n"), ["threshold = nan"], ""),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_told_in_the_files_own_terms(
    text: str, parts: list[str], hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        rules(text)
    assert caught.value.message.startswith("rig.toml: [[alerts]] ")
    for part in parts:
        assert part in caught.value.message
    assert hint in caught.value.hint


def test_a_rule_for_some_gpus_and_instances_holds_for_them_alone() -> None:
    rule = rules('[[alerts]]\nname = "temperature"\ngpus = ["GPU-00000001"]')["temperature"]
    assert resolve(rule, [identity(0), identity(1)], FILE) == (identity(1),)
    with pytest.raises(ConfigError, match=r"rig.toml: \[\[alerts\]\] temperature: gpus: .*no GPU"):
        resolve(rule, [identity(0)], FILE)


def test_a_selector_that_names_no_gpu_is_told_once_the_gpus_are_known() -> None:
    config = Config(alerts=parse(b'[[alerts]]\nname = "memory"\ngpus = ["4090"]', FILE).alerts)
    watch = AlertWatch(config, rules_of(config), None, FILE)
    watch.sampled(snapshot(1, problem=Problem("no driver")))
    assert watch.take_problems() == ()
    for at in range(2, 5):
        watch.sampled(snapshot(at, gpu(0, memory_used=99, memory_total=100)))
    (problem,) = watch.take_problems()
    assert '"4090" names no GPU' in problem.message
    assert watch.take_problems() == ()


def test_the_table_of_the_readme_has_every_built_in_rule_as_it_is() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", readme, re.M))
    for rule in BUILT_IN:
        cells = [cell.strip() for cell in rows[rule.name].split("|")]
        threshold = READINGS[rule.metric].show(rule.threshold)
        assert cells[0] == f"`{rule.metric}` {rule.comparison} {threshold}"
        assert cells[1] == (duration(rule.for_seconds) if rule.for_seconds else "–")
        assert cells[2] == rule.severity


def test_the_example_of_the_readme_is_accepted() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    block = next(b for b in readme.split("```toml\n")[1:] if "[[alerts]]" in b).split("```")[0]
    config = parse(block.encode(), FILE)
    check_command(config, FILE)
    found = {rule.name: rule for rule in rules_of(config, FILE)}
    assert (found["temperature"].threshold, found["hot-memory"].for_seconds) == (80, 60)
    assert "memory" not in found


def test_the_readme_names_every_reading_that_is_not_a_metric_of_the_table() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    derived = [name for name in READINGS if name not in {metric.name for metric in METRICS}]
    assert [name for name in derived if f"`{name}`" not in readme] == []
    assert len(READINGS) == len(METRICS) + len(derived)


def test_a_link_is_judged_only_after_its_gpu_has_been_busy_for_two_slow_readings() -> None:
    """Bursts shorter than that see the link as it was while the GPU idled."""
    now = itertools.count(1_000_000)
    watch = AlertWatch(CONFIG, rules_of(CONFIG), None)
    for _ in range(60):
        for second in range(20):
            used = 97.0 if second < BUSY_SECONDS else 0.0
            watch.sampled(snapshot(next(now), gpu(utilization_gpu=used, pcie_link_gen=1, **LINK)))
    assert watch.firing == ()
