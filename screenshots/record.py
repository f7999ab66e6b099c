"""Record what the pictures show: two real models that answer, on the simulated GPUs.

    python screenshots/record.py

Takes three minutes and writes trace.jsonl.gz (GPU samples) and moment.json (the instances and the
chat at the end of the trace) beside this file; make.py draws them. Needs what `gputui demo` fetches.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
from make import MOMENT, TRACE, Moment

from gputui.chat.conversation import Conversation
from gputui.chat.endpoints import endpoint_of
from gputui.chat.model import Sampling, Settings
from gputui.config import Config, load
from gputui.demo.config import INSTANCES, write_config
from gputui.demo.parts import demo_cache, fetch
from gputui.gpu.sample import Snapshot
from gputui.gpu.simulated import SIMULATED_GPUS, SimulatedSource
from gputui.gpu.trace_writer import write_trace
from gputui.host import HostReader
from gputui.instances.ports import is_free
from gputui.instances.records import running_pids
from gputui.instances.supervisor import Supervisor

SPLIT = """
[[instances]]
name = "gemma3-split"
key = "3"
model = "{model}"
gpus = ["PRO 6000", "5090"]
port = 8081
"""
SECONDS_OF_WORK = 120
ERRANDS = (
    "Tell a story about a lighthouse.",
    "Explain how a bicycle stays upright.",
    "What is a GPU?",
    "List ten facts about the sea.",
)
ANSWERED = ("Name the four seasons as a list.", "What is a GPU?")
ASKED = "Explain how a hash table works."
LIVE_CHARACTERS = 130


def main() -> None:
    """Record, and say what was recorded."""
    with tempfile.TemporaryDirectory() as folder:
        snapshots, moment = asyncio.run(record(Path(folder)))
    write_trace(TRACE, [replace(s, taken_at=round(s.taken_at, 2)) for s in snapshots])
    MOMENT.write_bytes(msgspec.json.format(msgspec.json.encode(moment), indent=1) + b"\n")
    for turns in moment.finished.values():
        print(*(answer.text for turn in turns for answer in turn.answers.values()), sep="\n---\n")
    print(*(answer.text for answer in moment.live.values()), sep="\n---\n")
    print(f"{len(snapshots)} samples, {TRACE.stat().st_size} bytes")


async def record(folder: Path) -> tuple[Sequence[Snapshot], Moment]:
    """Start both servers, let them work, ask both, and stop them."""
    parts = fetch(demo_cache(), lambda _: None)
    file = folder / "config.toml"
    write_config(file, parts, {}, lambda port: is_free("127.0.0.1", port))
    with file.open("a") as text:
        text.write(SPLIT.format(model=parts.gemma3))
    config = load(file)
    supervisor = Supervisor(config, SIMULATED_GPUS, folder / "state")
    # One of these servers keeps one core busy: that is its whole GPU.
    source = SimulatedSource(lambda: running_pids(folder / "state"), cores=1)
    snapshots: list[Snapshot] = []
    host = HostReader((parts.smollm2.parent,)).start()
    sampling = asyncio.create_task(sample(source, host, snapshots))
    try:
        for name in INSTANCES:
            await supervisor.start(name)
            await supervisor.wait(name, 60)
        await asyncio.gather(*(work(config, name) for name in INSTANCES))
        return snapshots, await converse(config, supervisor)
    finally:
        sampling.cancel()
        host.stop()
        for name in INSTANCES:
            await supervisor.stop(name)
        await supervisor.close()


async def sample(source: SimulatedSource, host: HostReader, snapshots: list[Snapshot]) -> None:
    """Once a second."""
    while True:
        snapshots.append(replace(source.sample(), host=host()))
        await asyncio.sleep(1.0)


async def work(config: Config, name: str) -> None:
    """Prompts in bursts, with pauses: the load of a shared server."""
    chance = random.Random(name)  # noqa: S311
    end = time.monotonic() + SECONDS_OF_WORK
    while time.monotonic() < end:
        for _ in range(chance.randint(1, 5)):
            conversation = Conversation()
            conversation.sides["A"].choose(endpoint_of(config, name))
            conversation.settings = Settings(sampling=Sampling(max_tokens=300))
            conversation.send(chance.choice(ERRANDS), ["A"])
            await conversation.wait()
            await conversation.close()
        await asyncio.sleep(chance.uniform(3, 12))


async def converse(config: Config, supervisor: Supervisor) -> Moment:
    """Prompts answered by both, and one more caught while both answers stream."""
    conversation, neighbour = both(config), both(config)
    for prompt in ANSWERED:
        conversation.send(prompt)
        await conversation.wait()
        await asyncio.sleep(2)
    await supervisor.observe()
    neighbour.settings = Settings(
        sampling=Sampling(max_tokens=8)
    )  # someone else's request, done in a moment
    neighbour.send("Hello!")
    conversation.send(ASKED)
    while True:
        live = {side.name: side.live for side in conversation.sides.values() if side.live}
        if len(live) < 2 or min(len(answer.text) for answer in live.values()) > LIVE_CHARACTERS:
            break
        await asyncio.sleep(0.05)
    moment = Moment(
        at=round(time.time(), 2),
        statuses=await supervisor.observe(),
        prompt=ASKED,
        finished={side.name: list(side.finished) for side in conversation.sides.values()},
        live=live,
    )
    await asyncio.sleep(1)  # so that the trace ends with this moment's load in it
    await neighbour.close()
    await conversation.close()
    return moment


def both(config: Config) -> Conversation:
    """A conversation with both, the same in every run."""
    conversation = Conversation()
    conversation.settings = Settings(sampling=Sampling(seed=1, temperature=0.0))
    for side, name in zip(conversation.sides.values(), INSTANCES, strict=True):
        side.choose(endpoint_of(config, name))
    return conversation


if __name__ == "__main__":
    main()
