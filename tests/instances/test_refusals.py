"""What is refused, and the words for it."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from gputui.errors import ConfigError, GputuiError
from gputui.instances import records
from gputui.instances.lifecycle import NotRunningError
from gputui.instances.refusals import UnknownInstanceError
from tests.instances.conftest import PRO, RTX, Rig, started, status_of


async def test_refusals_name_the_reason(rig: Rig) -> None:
    one = rig.add("one")
    rig.add("two", port=one.port)
    session = rig.session()
    status = await started(session, "one")
    with pytest.raises(GputuiError, match=f"one runs already .pid {status.pid}"):
        await session.start("one")
    with pytest.raises(GputuiError, match=f"one runs on port {one.port}: stop it first"):
        await session.start("two")
    assert (await status_of(session, "two")).note == f"port {one.port} is used by one"
    with pytest.raises(NotRunningError, match="two is not running"):
        await session.stop("two")
    with pytest.raises(UnknownInstanceError) as refused:
        await session.start("onne")
    assert refused.value.hint == 'Did you mean "one"?'
    await session.stop("one")
    with pytest.raises(NotRunningError):
        await session.stop("one")


async def test_a_port_used_by_a_stranger_is_refused_with_its_name(rig: Rig) -> None:
    one = rig.add("one")
    with socket.create_server(("127.0.0.1", one.port)), pytest.raises(GputuiError) as refused:
        await rig.session().start("one")
    assert f"port {one.port} of one is used by" in refused.value.message
    assert f"pid {os.getpid()}" in refused.value.message
    assert rig.record("one") is None


async def test_two_starts_at_once_are_one_server_and_one_refusal(rig: Rig) -> None:
    rig.add("one")
    a, b = rig.session(), rig.session()
    results = await asyncio.gather(a.start("one"), b.start("one"), return_exceptions=True)
    assert {type(result) for result in results} == {type(None), GputuiError}
    assert (await a.wait("one", 60)).pid == (await b.wait("one", 60)).pid
    await b.stop("one")


async def test_two_instances_of_one_port_at_once_are_one_server(rig: Rig) -> None:
    one = rig.add("one")
    rig.add("two", port=one.port)
    a, b = rig.session(), rig.session()
    results = await asyncio.gather(a.start("one"), b.start("two"), return_exceptions=True)
    assert {type(result) for result in results} == {type(None), GputuiError}
    running = records.running(rig.state)
    assert len(running) == 1
    await a.stop(running[0].name)


async def test_a_model_or_server_that_is_not_there_is_told_before_anything_starts(
    rig: Rig,
) -> None:
    rig.add("model", model="/nowhere/x.gguf")
    rig.add("server", llama_server="/nowhere/llama-server")
    rig.add("path", llama_server="no-such-program-anywhere")
    library = "llama-server: error while loading shared libraries: libcudart.so.12: cannot open"
    rig.add("library", {"list_error": library})
    session = rig.session()
    for name, message in {
        "model": "/nowhere/x.gguf: no such file",
        "server": "/nowhere/llama-server: no such file",
        "path": "not found on PATH",
        "library": "the shared library libcudart.so.12 is missing",
    }.items():
        with pytest.raises(GputuiError, match=message) as refused:
            await session.start(name)
        assert refused.value.hint
    assert not records.read_all(rig.state)


async def test_a_selector_that_names_no_gpu_is_told_once_gpus_are_known(rig: Rig) -> None:
    rig.add("one", gpus=("RTX 9999",))
    session = rig.session()
    assert (await status_of(session, "one")).last_error is None  # nothing is known yet
    session.set_gpus((PRO, RTX))
    status = await status_of(session, "one")
    assert '"RTX 9999" names no GPU' in str(status.last_error)
    with pytest.raises(ConfigError, match="names no GPU"):
        await session.start("one")
