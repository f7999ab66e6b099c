"""A configuration that changes while servers run: nothing is torn down, and what differs is said."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gputui.config import Config, InstanceConfig, TargetsConfig
from gputui.errors import GputuiError
from gputui.instances.differences import differences
from gputui.instances.status import State
from tests.instances.conftest import Rig, started, status_of
from tests.support.ports import new_port

ONE = InstanceConfig(name="one", model="/m.gguf", port=8080, gpus=("0",), args=("-fa", "on"))


def settings(instance: InstanceConfig) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(instance))
    return found


def test_only_what_the_process_would_feel_is_a_difference() -> None:
    assert differences(settings(ONE), ONE) == ()
    quiet = replace(
        ONE,
        key="3",
        targets=TargetsConfig(ttft_seconds=1),
        restart="on-failure",
        group="big",
        idle_unload="10m",
        stop_grace_seconds=3.0,
    )
    assert differences(settings(ONE), quiet) == ()
    loud = replace(ONE, port=1, ctx_size=512, threads=2, args=())
    assert differences(settings(ONE), loud) == ("port", "ctx_size", "threads", "args")


def test_what_an_older_gputui_did_not_write_down_is_no_difference() -> None:
    older = settings(ONE)
    del older["ctx_size"]
    assert differences(older, replace(ONE, ctx_size=512)) == ()
    assert differences({}, replace(ONE, port=1)) == ()
    assert differences(settings(ONE), None) == ()


async def test_a_changed_instance_runs_on_as_it_was_until_it_is_restarted(rig: Rig) -> None:
    one = rig.add("one")
    session = rig.session()
    before = await started(session, "one")
    changed = replace(one, port=new_port(), ctx_size=512)
    session.set_config(Config(instances=(changed,)))
    status = await status_of(session, "one")
    assert (status.state, status.pid, status.port) == (State.READY, before.pid, one.port)
    assert status.differs == ("port", "ctx_size")
    await session.restart("one")
    status = await session.wait("one", 60)
    assert (status.state, status.port, status.differs) == (State.READY, changed.port, ())


async def test_an_instance_that_is_configured_no_more_runs_on_and_can_be_stopped(rig: Rig) -> None:
    rig.add("one")
    session = rig.session()
    await started(session, "one")
    session.set_config(Config())
    status = await status_of(session, "one")
    assert status.state is State.READY
    assert "not in this configuration" in status.note
    with pytest.raises(GputuiError):
        await session.restart("one")
    assert (await status_of(session, "one")).state is State.READY, "a refusal stops nothing"
    await session.stop("one")
    assert await session.observe() == ()
