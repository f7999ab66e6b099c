"""What is not a chat instance of ours: embeddings, servers of others, endpoints; and pins gone wrong."""

from __future__ import annotations

from dataclasses import replace

from textual.widgets import OptionList

from gputui.alerts.rules import rules_of
from gputui.alerts.watch import AlertWatch
from gputui.chat.health import EndpointState, EndpointStatus, EndpointWatch
from gputui.config import Config, EndpointConfig, InstanceConfig
from gputui.errors import GputuiError
from gputui.instances.status import State
from tests.ui.harness import (
    Rig,
    gpu_sample,
    make_rig,
    process,
    screen_text,
    snapshot,
    status,
    until,
    until_shown,
)

EMBED = InstanceConfig(name="nomic", model="n.gguf", port=8090, role="embedding")
CHAT = InstanceConfig(name="coder", model="c.gguf", port=8081)
FAR = EndpointConfig(name="lab", url="http://127.0.0.1:1/v1")
CONFIG = Config(instances=(EMBED, CHAT), endpoints=(FAR,))


def found(name: str = "llama:8085") -> object:
    return status(
        name, State.READY, None, 8085, external=True, owned=False,
        note="not started by gputui: pid 12085 of ann",
    )  # fmt: skip


class Told(EndpointWatch):
    """A watch that asks nobody."""

    async def run_forever(self) -> None:
        return


def watch_of(*statuses: EndpointStatus) -> EndpointWatch:
    watch = Told(Config())
    watch.statuses = statuses
    return watch


def others(**services: object) -> Rig:
    statuses = (
        status("nomic", State.READY, 0, 8090, role="embedding"),
        status("coder", State.READY, 1, 8081, sees=True),
        found(),
    )
    up = EndpointStatus("lab", "http://127.0.0.1:1/v1", EndpointState.UP, 0.012, ("qwen3",))
    return make_rig(CONFIG, statuses=statuses, endpoints=watch_of(up), **services)  # type: ignore[arg-type]


async def test_the_table_says_who_can_do_what() -> None:
    one = others()
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "ready (external)")
        lines = {line.split()[1]: line for line in rows(one) if len(line.split()) > 2}
        assert "embed" in lines["nomic"].split()
        assert "vision" in lines["coder"]
        assert "chat" not in lines["coder"]
        assert "8085" in lines["llama:8085"]
        assert "endpoint up 12 ms" in lines["lab"]
        assert "qwen3" in lines["lab"]


def rows(one: Rig) -> list[str]:
    return [line.replace("▸", " ").replace("│", "│ ") for line in screen_text(one.app).splitlines()]


async def test_sides_are_for_those_that_chat() -> None:
    one = others()
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "ready (external)")
        first = [side.endpoint.name for side in one.conversation.sides.values() if side.endpoint]
        assert first == ["coder", "lab"]
        await pilot.press("b")
        await until(pilot, lambda: bool(one.app.screen.query(OptionList)))
        options = one.app.screen.query_one(OptionList)
        disabled = {str(o.id): o.disabled for o in (options.get_option(i) for i in names())}
        assert disabled == {name: name == "nomic" for name in names()}
        assert "embedding: does not chat" in screen_text(one.app)
        options.highlighted = names().index("llama:8085")
        await pilot.press("enter")
        side = one.conversation.sides["B"]
        await until(pilot, lambda: bool(side.endpoint and side.endpoint.url.endswith(":8085/v1")))


def names() -> list[str]:
    return ["nomic", "coder", "llama:8085", "lab"]


async def test_an_endpoint_that_is_down_says_why_beneath_the_table() -> None:
    down = EndpointStatus(
        "lab", FAR.url, EndpointState.DOWN, problem="nothing listens at 127.0.0.1:1"
    )
    one = make_rig(Config(endpoints=(FAR,)), endpoints=watch_of(down))
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_shown(pilot, "endpoint down")
        await until_shown(pilot, "nothing listens at 127.0.0.1:1")
        await until_shown(pilot, "1 endpoint down")


async def test_what_is_not_ours_is_refused_without_a_question() -> None:
    one = others()
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "ready (external)")
        await pilot.press("down", "down")
        for key, action in (("s", "start"), ("x", "stop"), ("r", "restart")):
            await pilot.press(key)
            asked = (action, "llama:8085")
            await until(pilot, lambda asked=asked: asked in one.supervisor.asked)  # type: ignore[misc]


async def test_details_of_what_others_started_offer_no_key_that_acts() -> None:
    one = others()
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "ready (external)")
        await pilot.press("enter")
        await until_shown(pilot, "Restart")
        await pilot.press("escape", "down", "down", "enter")
        await until_shown(pilot, "Copy command")
        foot = screen_text(one.app).splitlines()[-1]
        assert "Log" in foot
        assert not [word for word in ("Start", "Stop", "Restart", "Edit") if word in foot]


async def test_keys_of_instances_do_nothing_to_an_endpoint_and_say_why() -> None:
    one = others()
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "endpoint up 12 ms")
        await pilot.press("down", "down", "down")
        where = "It is started and stopped where it runs."
        keys = [(key, where) for key in "sxrl"]
        keys += [(key, "Change it in the file.") for key in ("e", "d", "delete")]
        for key, words in keys:
            await pilot.press(key)
            await until(pilot, lambda words=words: told(one) == [words])  # type: ignore[misc]
            assert {note.title for note in one.app._notifications} == {"lab is an endpoint"}
            one.app.clear_notifications()
        assert one.supervisor.asked == []


def told(one: Rig) -> list[str]:
    return [note.message for note in one.app._notifications]


async def test_enter_shows_what_is_known_of_an_endpoint() -> None:
    one = others()
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_shown(pilot, "endpoint up 12 ms")
        await pilot.press("down", "down", "down", "enter")
        await until_shown(pilot, "Endpoint lab")
        shown = screen_text(one.app)
        assert [word for word in ("http://127.0.0.1:1/v1", "12 ms", "qwen3") if word in shown][2:]
        assert one.app.services.endpoints is not None
        one.app.services.endpoints.statuses = (
            EndpointStatus("lab", FAR.url, EndpointState.DOWN, problem="gives no answer"),
        )
        await until_shown(pilot, "problem   gives no answer")
        await pilot.press("escape")
        await until(pilot, lambda: "Endpoint lab" not in screen_text(one.app))


async def test_what_fit_took_stands_on_the_row() -> None:
    lowered = status("coder", State.READY, 1, 8081, lowered="context 32768 → 8192 by --fit")
    one = make_rig(CONFIG, statuses=(lowered,))
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_shown(pilot, "ready lowered")
        await until_shown(pilot, "coder: context 32768 → 8192 by --fit")


async def test_a_server_on_another_gpu_is_marked() -> None:
    now = [1e9]
    config = Config(instances=(CHAT,))
    watch = AlertWatch(config, rules_of(config), None, clock=lambda: now[0])
    coder = status("coder", State.READY, 0, 8081)
    assert coder.pid is not None
    wrong = gpu_sample(1, processes=(process(coder.pid, 2 * 2**30),))
    one = make_rig(
        config,
        snapshots=[replace(snapshot(), gpus=(gpu_sample(0), wrong))],
        statuses=(coder,),
        alerts=watch,
        watchers=(watch,),
    )
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "ready")
        for _ in range(12):
            now[0] += 1
            watch.observed((coder,))
        await until_shown(pilot, "wrong GPU")
        await until_shown(pilot, "coder is pinned to GPU 0 and holds 2.0 GiB on GPU 1")


async def test_a_login_that_kills_is_told_once() -> None:
    one = make_rig(CONFIG, statuses=(status("coder", State.STOPPED, 1, 8081),))
    one.supervisor.warning = GputuiError(
        "servers started here stop at the end of this login session", "loginctl enable-linger ann"
    )
    async with one.app.run_test(size=(160, 45), notifications=True) as pilot:
        await until_shown(pilot, "stopped")
        for count in (1, 2):
            await pilot.press("s")
            await until(pilot, lambda count=count: len(one.supervisor.asked) == count)  # type: ignore[misc]
        await until_shown(pilot, "loginctl enable-linger ann")
        await pilot.pause()
        assert screen_text(one.app).count("enable-linger") == 1
