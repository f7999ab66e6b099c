"""Roles: what goes on the command line, and what the real server makes of it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from gputui.chat.endpoints import endpoint_of
from gputui.config import Config, InstanceConfig
from gputui.demo.parts import Parts
from gputui.errors import GputuiError
from gputui.instances.status import State
from gputui.instances.supervisor import Supervisor
from gputui.llama.command import check_model, prepare
from tests.instances.conftest import Rig, end_all, started
from tests.support.gguf_files import llama, write_gguf
from tests.support.ports import new_port
from tests.support.scripted_server import make_server


def instance(folder: Path, **fields: object) -> InstanceConfig:
    model = folder / "m.gguf"
    write_gguf(model, *llama(layers=1))
    server = make_server(folder / "bin")
    values = {"model": str(model), "port": 8080, "llama_server": str(server)} | fields
    return InstanceConfig(name="x", **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("role", "flags"),
    [("chat", set()), ("embedding", {"--embeddings"}), ("rerank", {"--rerank"})],
)
def test_the_flag_of_a_role(tmp_path: Path, role: str, flags: set[str]) -> None:
    argv = prepare(instance(tmp_path, role=role), (), (), "none").argv
    assert {"--embeddings", "--rerank"} & set(argv) == flags


def test_a_projector_is_checked_like_a_model(tmp_path: Path) -> None:
    projector = tmp_path / "mmproj.gguf"
    with pytest.raises(GputuiError, match=r"mmproj: .*mmproj.gguf: no such file"):
        prepare(instance(tmp_path, mmproj=str(projector)), (), (), "none")
    projector.write_bytes(b"PK")
    sees = instance(tmp_path, mmproj=str(projector))
    argv = prepare(sees, (), (), "none").argv
    assert argv[argv.index("--mmproj") + 1] == str(projector)
    with pytest.raises(GputuiError, match=r"mmproj: .*GGUF"):
        check_model(sees)


async def test_what_runs_says_what_it_can(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "p.gguf").write_bytes(b"GGUF")
    rig.add("e", role="embedding")
    rig.add("v", mmproj=str(tmp_path / "p.gguf"))
    session = rig.session()
    embeds, sees = await started(session, "e"), await started(session, "v")
    assert (embeds.role, embeds.sees) == ("embedding", False)
    assert (sees.role, sees.sees) == ("chat", True)


def test_an_embedding_instance_is_no_side_of_the_chat(tmp_path: Path) -> None:
    config = Config(instances=(instance(tmp_path, role="embedding"),))
    with pytest.raises(GputuiError, match="x makes embeddings: it does not chat"):
        endpoint_of(config, "x")


@pytest.mark.real
async def test_the_real_server_embeds(demo_parts: Parts, tmp_path: Path) -> None:
    real = InstanceConfig(
        name="e", model=str(demo_parts.smollm2), port=new_port(), role="embedding", ctx_size=512,
        threads=1, args=("--pooling", "mean"),
    )  # fmt: skip
    config = Config(instances=(real,), llama_server=str(demo_parts.llama_server))
    session = Supervisor(config, (), tmp_path / "state")
    try:
        await session.start("e")
        status = await session.wait("e", 60)
        assert (status.state, status.role) == (State.READY, "embedding")
        assert status.metrics.slots_total
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(
                f"{status.url}/v1/embeddings", json={"input": "hello"}, timeout=60
            )
        assert len(answer.json()["data"][0]["embedding"]) == 576
        await session.stop("e")
    finally:
        await session.close()
        end_all(tmp_path / "state")
