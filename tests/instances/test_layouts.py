"""Which instances a layout stops, keeps and starts; nothing runs here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.config import Config, InstanceConfig, LayoutConfig
from gputui.errors import ConfigError, GputuiError
from gputui.instances.fit.reckoning import Fit
from gputui.instances.status import InstanceStatus, State
from gputui.instances.switching.layouts import LayoutPlan, find_layout, plan, plan_json
from tests.instances.conftest import PRO, RTX, TWIN

GPUS = (PRO, RTX, TWIN)


def instance(name: str, port: int, *gpus: int, group: str | None = None) -> InstanceConfig:
    return InstanceConfig(
        name=name, model="/m.gguf", port=port, gpus=tuple(map(str, gpus)), group=group
    )


def status(one: InstanceConfig, state: State = State.STOPPED, **more: object) -> InstanceStatus:
    running = state not in (State.STOPPED, State.FAILED)
    base = InstanceStatus(
        name=one.name,
        state=state,
        port=one.port,
        url=one.url,
        model="m",
        owned=running,
        pid=one.port if running else None,
        gpus=tuple(GPUS[int(index)].uuid for index in one.gpus),
    )
    return replace(base, **more)  # type: ignore[arg-type]


DEEPSEEK = instance("deepseek", 8080, 0)
CODER = instance("coder", 8081, 1)
SPLIT = instance("split", 8080, 0, 1)
SMALL = instance("small", 8090)
TWIN_ONE = instance("twin", 8091, 2)
CONFIG = Config(
    instances=(DEEPSEEK, CODER, SPLIT, SMALL, TWIN_ONE),
    layouts=(
        LayoutConfig(name="pair", instances=("deepseek", "coder")),
        LayoutConfig(name="split", instances=("split",)),
    ),
)


def planned(name: str, *running: InstanceStatus, **more: object) -> LayoutPlan:
    known = {one.name: status(one) for one in CONFIG.instances} | {one.name: one for one in running}
    layout = find_layout(CONFIG, name)
    return plan(layout, CONFIG, tuple(known.values()), GPUS, **more)  # type: ignore[arg-type]


def names(parts: object) -> list[str]:
    return [part.name for part in parts]  # type: ignore[attr-defined]


def test_what_is_in_the_way_stops_and_what_is_not_goes_on() -> None:
    found = planned(
        "pair",
        status(SPLIT, State.READY),
        status(SMALL, State.READY),
        status(TWIN_ONE, State.READY),
    )
    assert [(one.name, one.reasons) for one in found.stops] == [
        ("split", ("GPU 0", "GPU 1", "port 8080"))
    ]
    assert names(found.starts) == ["deepseek", "coder"]
    assert (found.stays, found.cannot, found.active) == ((), (), False)


def test_what_runs_already_stays() -> None:
    found = planned("pair", status(DEEPSEEK, State.LOADING), status(CODER, State.FAILED))
    assert (names(found.stays), names(found.starts)) == (["deepseek"], ["coder"])
    assert planned("pair", status(DEEPSEEK, State.READY), status(CODER, State.READY)).active


def test_a_member_that_runs_otherwise_than_configured_starts_again() -> None:
    found = planned(
        "pair",
        status(DEEPSEEK, State.READY, differs=("ctx_size", "threads")),
        status(CODER, State.STOPPING),
    )
    assert [(one.name, one.restarts) for one in found.starts] == [
        ("deepseek", "ctx_size, threads changed"),
        ("coder", "it is being stopped"),
    ]
    assert found.ending == ("deepseek", "coder")


def test_the_gpus_and_ports_of_now_count_for_what_runs() -> None:
    moved = status(TWIN_ONE, State.READY, gpus=(RTX.uuid,), port=8099)
    assert [one.reasons for one in planned("pair", moved).stops] == [("GPU 1",)]
    stray = status(instance("gone", 8081), State.READY)  # configured no more
    assert [one.reasons for one in planned("pair", stray).stops] == [("port 8081",)]


def test_a_group_is_in_the_way_too() -> None:
    big = instance("big", 9000, group="g")
    other = instance("other", 9001, group="g")
    layout = LayoutConfig(name="l", instances=("big",))
    config = Config(instances=(big, other), layouts=(layout,))
    found = plan(layout, config, (status(big), status(other, State.READY)), ())
    assert [(one.name, one.reasons) for one in found.stops] == [("other", ("group g",))]


def test_a_crashed_one_that_is_to_come_back_is_in_the_way() -> None:
    assert planned("pair", status(SPLIT, State.FAILED)).stops == ()
    crashed = status(SPLIT, State.FAILED, restart_at=1e9)
    assert names(planned("pair", crashed).stops) == ["split"]


def test_what_cannot_start_is_told_with_its_reason() -> None:
    external = status(CODER, State.READY, owned=False, pid=None)
    missing = GputuiError("/m.gguf: no such file", "Write its path.")
    found = planned("pair", external, obstacles={"deepseek": missing})
    assert [(one.name, one.reason, one.hint) for one in found.cannot] == [
        ("deepseek", "/m.gguf: no such file", "Write its path."),
        (
            "coder",
            "port 8081 is served already, by a server that gputui did not start",
            "Stop it where it was started.",
        ),
    ]
    lost = instance("lost", 9000, 7)
    layout = LayoutConfig(name="l", instances=("lost",))
    config = Config(instances=(lost,), layouts=(layout,))
    unknown = plan(layout, config, (status(replace_gpus(lost)),), GPUS)
    assert '"7" names no GPU' in unknown.cannot[0].reason


def replace_gpus(one: InstanceConfig) -> InstanceConfig:
    return InstanceConfig(name=one.name, model=one.model, port=one.port)


def test_what_will_not_fit_is_told_and_may_start_all_the_same() -> None:
    fits = {
        "deepseek": Fit("", False, words="needs 70 GiB, 40 GiB are free"),
        "coder": Fit("", None),
    }
    found = planned("pair", fits=fits)
    assert [one.name for one in found.starts if one.fits is False] == ["deepseek"]
    assert plan_json(found)["starts"] == [
        {
            "name": "deepseek",
            "gpus": [PRO.uuid],
            "restarts": None,
            "fits": False,
            "fit": "needs 70 GiB, 40 GiB are free",
        },
        {"name": "coder", "gpus": [RTX.uuid], "restarts": None, "fits": None, "fit": None},
    ]


def test_an_unknown_layout_names_the_nearest() -> None:
    with pytest.raises(ConfigError) as refused:
        find_layout(CONFIG, "piar")
    assert refused.value.hint == 'Did you mean "pair"?'


# ── whatever is configured and runs ──────────────────────────────────────────────────────────


@st.composite
def rigs(draw: st.DrawFn) -> tuple[Config, tuple[InstanceStatus, ...]]:
    """Instances, a layout of some that may run together, and what runs."""
    count = draw(st.integers(1, 6))
    instances = tuple(
        instance(
            f"i{number}",
            draw(st.integers(1, 4)),
            *draw(st.lists(st.integers(0, 2), unique=True, max_size=2)),
            group=draw(st.sampled_from([None, "g", "h"])),
        )
        for number in range(count)
    )
    members: list[InstanceConfig] = []
    for one in draw(st.permutations(instances)):
        ports, groups = {m.port for m in members}, {m.group for m in members if m.group}
        if one.port not in ports and one.group not in groups and len(members) < 3:
            members.append(one)
    config = Config(
        instances=instances,
        layouts=(LayoutConfig(name="l", instances=tuple(one.name for one in members)),),
    )
    running: list[InstanceStatus] = []
    states = st.sampled_from(
        [State.STOPPED, State.FAILED, State.READY, State.LOADING, State.STOPPING]
    )
    for one in draw(st.permutations(instances)):
        state = draw(states)
        taken = {s.port for s in running if s.pid}
        changed = draw(st.sampled_from([(), (), ("ctx_size",)]))
        if one.port in taken:
            state = State.STOPPED
        running.append(status(one, state, differs=changed if state is State.READY else ()))
    return config, tuple(running)


def after(
    found: LayoutPlan, config: Config, statuses: tuple[InstanceStatus, ...]
) -> tuple[InstanceStatus, ...]:
    """What runs once a plan is carried out."""
    configured = {one.name: one for one in config.instances}
    outcome = {one.name: one for one in statuses}
    for name in found.ending:
        outcome[name] = status(configured[name])
    for one in found.starts:
        assert outcome[one.name].pid is None, "it is stopped before it starts"
        outcome[one.name] = status(configured[one.name], State.READY)
    return tuple(outcome.values())


@given(rigs())
def test_a_plan_leads_to_its_layout_and_leaves_the_rest_alone(
    rig: tuple[Config, tuple[InstanceStatus, ...]],
) -> None:
    config, statuses = rig
    layout = config.layouts[0]
    found = plan(layout, config, statuses, GPUS)
    parts = [*names(found.stays), *names(found.starts), *names(found.cannot)]
    assert sorted(parts) == sorted(layout.instances)
    assert not set(names(found.stops)) & set(layout.instances)
    assert set(names(found.stops)) <= {one.name for one in statuses if one.pid}

    then = after(found, config, statuses)
    running = [one for one in then if one.pid]
    assert set(layout.instances) <= {one.name for one in running}
    ports = [one.port for one in running]
    assert len(set(ports)) == len(ports), "two servers on one port"
    groups = {one.name: one.group for one in config.instances}
    members = [one for one in running if one.name in layout.instances]
    others = [one for one in running if one.name not in layout.instances]
    for other in others:
        assert not {uuid for one in members for uuid in one.gpus} & set(other.gpus)
        if groups[other.name]:
            assert groups[other.name] not in {groups[one.name] for one in members}
    untouched = {one.name for one in statuses if one.pid} - set(found.ending)
    assert untouched <= {one.name for one in running}

    again = plan(layout, config, then, GPUS)
    assert again.active
    assert names(again.stays) == list(layout.instances)
