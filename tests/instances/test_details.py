"""The details of an instance: its command with secrets hidden, its settings, what its server says."""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.config import InstanceConfig
from gputui.demo.parts import Parts
from gputui.instances.details import InstanceDetails, Setting, settings_of, variables_of
from gputui.instances.records import Record
from gputui.instances.supervisor import Supervisor
from gputui.llama.inspection import Inspection, ServerFacts, SlotFacts
from tests.instances.conftest import PRO, RTX, Rig, started
from tests.instances.test_real import make, ready  # noqa: F401 - a fixture

CUDA = {
    "devices": [
        f"CUDA0: {PRO.name} (100 MiB, 90 MiB free)",
        f"CUDA1: {RTX.name} (1 MiB, 1 MiB free)",
    ]
}


async def known(
    session: Supervisor, name: str, condition: Callable[[InstanceDetails], object]
) -> InstanceDetails:
    """The details once they are as wanted."""
    end = time.monotonic() + 60
    while True:
        details = await session.details(name)
        if condition(details):
            return details
        assert time.monotonic() < end, details
        await asyncio.sleep(0.02)


async def test_a_running_one_shows_how_it_was_started_and_what_differs(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "77")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    rig.gpus = (PRO, RTX)
    one = rig.add("one", CUDA, gpus=("5090",), ctx_size=512, key="1", args=("-fa", "on"))
    await started(rig.session(), "one")
    rig.instances = [msgspec.structs.replace(one, ctx_size=1024, key="2", threads=3, args=())]
    session = rig.session()
    details = await known(session, "one", lambda found: found.inspection.server)
    assert not details.planned
    words = shlex.split(details.shell_line)
    assert words[:3] == ["env", "-u", "LLAMA_ARG_CTX_SIZE"]
    assert set(words[3:5]) == {f"CUDA_VISIBLE_DEVICES={RTX.uuid}", "CUDA_DEVICE_ORDER=PCI_BUS_ID"}
    record = rig.record("one")
    assert record is not None
    assert words[5:] == list(record.argv), "what runs, not what is configured now"
    differing = {
        setting.key: (setting.running, setting.configured)
        for setting in details.settings
        if setting.differs
    }
    assert differing == {
        "ctx_size": ("512", "1024"),
        "threads": (None, "3"),
        "args": ('["-fa", "on"]', None),
    }, "a key of gputui's own holds at once"
    assert Setting("key", '"2"', '"1"', differs=False) in details.settings
    assert Setting("gpus", '["5090"]', '["5090"]', differs=False) in details.settings
    await session.stop("one")


async def test_a_stopped_one_shows_what_would_be_started_or_why_it_cannot(rig: Rig) -> None:
    one = rig.add("one", args=("--flash-attn", "on"))
    rig.instances.append(msgspec.structs.replace(one, name="bad", model="/no/such.gguf"))
    session = rig.session()
    details = await known(session, "one", lambda found: found.argv)
    assert details.planned
    assert details.shell_line.endswith("--flash-attn on")
    assert details.settings[0] == Setting("name", '"one"', None, differs=False)
    assert details.inspection == Inspection()
    bad = await known(session, "bad", lambda found: "no such file" in found.trouble)
    assert bad.shell_line == ""
    assert (await session.details("never")).settings == ()


async def test_a_binary_that_hangs_keeps_nobody_waiting(rig: Rig) -> None:
    one = rig.add("one")
    assert one.llama_server is not None
    goes_on = rig.folder / "goes-on"
    hangs = f"#!/bin/sh\nwhile [ ! -e {goes_on} ]; do sleep 0.05; done\n"
    Path(one.llama_server).write_text(hangs)  # noqa: ASYNC240
    details = await rig.session().details("one")
    assert "asked for its devices" in details.trouble
    goes_on.touch()
    for session in rig.sessions:
        await session.close()


SECRETS = (
    ("--hf-token", "hf_abcdefghijkl"),
    ("--header", "Authorization: Bearer sesame"),
    ("-x", "sk-12345678ab"),
)


@pytest.mark.parametrize("arguments", SECRETS)
async def test_secrets_are_nowhere_in_the_details(rig: Rig, arguments: tuple[str, str]) -> None:
    """Not in the line to copy, not in the settings: running or stopped."""
    rig.add("one", args=arguments)
    session = rig.session()
    secret = arguments[1].split()[-1]
    details = await known(session, "one", lambda found: found.argv)
    assert arguments[0] in details.shell_line
    assert "***" in details.shell_line
    assert secret not in repr(details)


def test_a_secret_in_a_variable_is_hidden() -> None:
    assert variables_of({"CUDA_VISIBLE_DEVICES": "GPU-1", "HOME": "/root"}) == (
        ("CUDA_VISIBLE_DEVICES", "GPU-1"),
    )
    assert variables_of(None) == ()


@given(
    st.lists(st.text(min_size=1), max_size=5),
    st.dictionaries(
        st.from_regex(r"[A-Z]{1,5}", fullmatch=True), st.none() | st.text(), max_size=4
    ),
)
def test_the_line_is_one_that_a_shell_reads_back(
    argv: list[str], variables: dict[str, str | None]
) -> None:
    details = InstanceDetails("x", argv=("/bin/x", *argv), variables=tuple(variables.items()))
    words = shlex.split(details.shell_line)
    assert words[-len(details.argv) :] == list(details.argv)


@given(
    st.builds(
        InstanceConfig,
        name=st.just("x"),
        model=st.text(max_size=9),
        port=st.integers(1, 9),
        ctx_size=st.none() | st.integers(0, 9),
        args=st.lists(st.text(max_size=5), max_size=3).map(tuple),
        tensor_split=st.lists(st.floats(0, 99), max_size=2).map(tuple),
    )
)
def test_what_is_started_as_it_is_configured_differs_in_nothing(instance: InstanceConfig) -> None:
    record = msgspec.json.decode(
        msgspec.json.encode(
            Record(
                name="x", pid=1, start_ticks=2, boot_id="b", executable="x", argv=(), host="h", port=1,
                model="m", log="l", started_at=0.0, settings=msgspec.to_builtins(instance),
            )
        ),
        type=Record,
    )  # fmt: skip
    settings = settings_of(instance, record)
    assert [setting.key for setting in settings if setting.differs] == []
    assert all(setting.configured == setting.running for setting in settings)
    none = msgspec.structs.replace(record, settings={})
    assert not any(setting.differs for setting in settings_of(instance, none)), "an older record"


async def test_slots_tell_their_speed_and_how_far_a_prompt_is(rig: Rig) -> None:
    slots = [
        {"id": 0, "n_ctx": 512, "is_processing": False},
        {"id": 1, "n_ctx": 512, "is_processing": True, "id_task": 5, "n_prompt_tokens": 200,
         "n_prompt_tokens_processed": 30, "n_prompt_tokens_cache": 20, "next_token": [{"n_decoded": 0}]},
        {"id": "x", "is_processing": 7, "n_ctx": -1, "next_token": "?"},
    ]  # fmt: skip
    rig.add("one", {"bodies": {"/slots": json.dumps(slots)}})
    session = rig.session()
    await started(session, "one")
    details = await known(session, "one", lambda found: found.inspection.slots)
    assert details.inspection.slots == (
        SlotFacts(0, busy=False, context=512),
        SlotFacts(1, busy=True, context=512, used=200, decoded=0, prompt_progress=0.25),
        SlotFacts(2, busy=False),
    )
    assert details.inspection.server == ServerFacts(
        model=str(rig.folder / "one.gguf"), slots=4, context=4096, modalities=(), build="scripted"
    )


async def test_a_sleeping_server_is_left_asleep(rig: Rig) -> None:
    rig.add("one", {"sleeping": True})
    session = rig.session()
    await started(session, "one")
    details = await known(session, "one", lambda found: found.inspection.server)
    assert details.inspection.server is not None
    assert details.inspection.server.sleeping
    assert details.inspection.slots is None


@pytest.mark.parametrize(
    "body", ["[]", "{", '{"chat_template": 7, "modalities": "x"}', "null", '"x"']
)
async def test_odd_answers_are_not_known(rig: Rig, body: str) -> None:
    rig.add("one", {"bodies": {"/props": body, "/slots": body}})
    session = rig.session()
    await started(session, "one")
    details = await session.details("one")
    assert details.argv
    assert details.inspection.slots in (None, ())


@pytest.mark.real
async def test_the_real_server_in_detail(make: Any, demo_parts: Parts) -> None:  # noqa: F811
    session = make(args=("--cache-reuse", "0"))
    status = await ready(session)
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        body = {"prompt": "Once upon a time", "n_predict": 200, "ignore_eos": True}
        asking = asyncio.create_task(client.post(f"{status.url}/completion", json=body))

        def generates(found: InstanceDetails) -> object:
            return any(slot.tokens_per_second for slot in found.inspection.slots or ())

        details = await known(session, "x", generates)
        await asking
    (busy,) = (slot for slot in details.inspection.slots or () if slot.busy)
    assert busy.decoded
    assert busy.used
    assert (busy.context, busy.prompt_progress) == (512, None)
    server = details.inspection.server
    assert server is not None
    assert server.model == str(demo_parts.smollm2)
    assert (server.slots, server.context, server.ftype) == (4, 512, "Q4_1")
    assert (server.template, server.modalities) == ("ChatML", ())
    assert server.template_line.startswith("{%")
    assert server.build
    words = shlex.split(details.shell_line)
    assert words[words.index("--model") + 1] == str(demo_parts.smollm2)
    lines = session.log("x").open().lines_from(0, 1000).lines
    assert any("listening on http" in line.text for line in lines)
    assert {line.level.name for line in lines} >= {"INFO", "WARNING"}
    await session.stop("x")
