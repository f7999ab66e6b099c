"""``gputui embed`` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gputui.chat.embedding.asking import embedding_endpoint, lines_of, read_lines
from gputui.cli.embed import matrix_lines
from gputui.cli.root import group
from gputui.cli.tables import cell_width
from gputui.config import Config, InstanceConfig
from gputui.demo.parts import Parts
from gputui.errors import GputuiError
from gputui.instances.status import State
from gputui.instances.supervisor import Supervisor
from tests.chat.embedding.test_client import by_length
from tests.chat.test_chat_command import configured, served
from tests.instances.conftest import end_all, new_port


def run(config: str, *arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(group, ["--config", config, "embed", *arguments], input=stdin)


def test_the_matrix_and_what_it_took(tmp_path: Path) -> None:
    with served(by_length) as server:
        result = run(configured(tmp_path, e=server.url), "--with", "e", "a", "bb", "a")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["1", "2", "3"]
    assert lines[1].split() == ["1", "a", "1.00", "0.95", "1.00▓"]
    assert "nearest: 1 and 3, 1.00" in result.stdout
    assert "3 texts · 2 dimensions · 4 tokens (server)" in result.stdout
    assert "tok/s (client)" in result.stdout


def test_json_is_whole_and_lines_come_from_a_file_or_from_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("one\n\n  three \n")
    with served(by_length) as server:
        config = configured(tmp_path, e=server.url)
        results = [
            run(config, "--with", "e", "--file", str(file), "--json"),
            run(config, "--with", "e", "--file", "-", "--json", stdin="one\n\n  three \n"),
        ]
    for result in results:
        shape = json.loads(result.stdout)
        assert list(shape) == [
            *("name", "model", "dimensions", "texts", "similarity"),
            *("tokens", "seconds", "tokens_per_second"),
        ]
        assert shape["texts"] == ["one", "three"]
        assert shape["similarity"][0][1] == shape["similarity"][1][0]
        assert shape["tokens"] == 8


@pytest.mark.parametrize(
    "arguments", [(), ("--with", "e"), ("--with", "e", "--file", "x", "text"), ("a", "b")]
)
def test_wrong_usage_is_exit_code_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run(configured(tmp_path, e="http://127.0.0.1:9"), *arguments).exit_code == 2


def test_another_role_and_an_unknown_name_are_refused(tmp_path: Path) -> None:
    chats = InstanceConfig(name="c", model="/m.gguf", port=8080)
    config = Config(instances=(chats,))
    with pytest.raises(GputuiError, match="c chats: it makes no embeddings"):
        embedding_endpoint(config, "c")
    with pytest.raises(GputuiError, match='"d" is no instance'):
        embedding_endpoint(config, "d")
    result = run(configured(tmp_path, lab="http://127.0.0.1:9"), "--with", "lb", "a", "b")
    assert isinstance(result.exception, GputuiError)
    assert "lab" in result.exception.hint


def test_what_fits_is_shown_and_the_rest_is_counted() -> None:
    texts = [f"文本 number {place}" for place in range(12)]
    matrix = [[1.0 if one == two else 0.5 for one in range(12)] for two in range(12)]
    lines = matrix_lines(texts, matrix, 80)
    assert max(map(cell_width, lines)) <= 80
    assert lines[-1] == "… 5 more columns: --json has them all"
    assert len(matrix_lines(texts, matrix, None)[0]) > 80


def test_a_file_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(GputuiError, match=r"picture\.png: no text"):
        read_lines(file)
    with pytest.raises(GputuiError, match=r"none\.txt: "):
        read_lines(tmp_path / "none.txt")
    assert lines_of("a\x1b[31m\r\n\n b") == ["a", "b"]


@pytest.mark.real
async def test_the_real_server_finds_the_same_line_again(demo_parts: Parts, tmp_path: Path) -> None:
    from gputui.chat.answering.client import make_client
    from gputui.chat.embedding.client import embed
    from gputui.chat.embedding.similarity import similarity
    from gputui.chat.endpoints import running_endpoint

    real = InstanceConfig(
        name="e", model=str(demo_parts.smollm2), port=new_port(), role="embedding", ctx_size=512,
        threads=1, args=("--pooling", "mean"),
    )  # fmt: skip
    config = Config(instances=(real,), llama_server=str(demo_parts.llama_server))
    session = Supervisor(config, (), tmp_path / "state")
    texts = ["A cat sat on the mat.", "Interest rates rose again.", "A cat sat on the mat."]
    try:
        await session.start("e")
        status = await session.wait("e", 60)
        assert status.state is State.READY
        endpoint = running_endpoint(
            embedding_endpoint(config, "e"), status.url, status.model, owned=True
        )
        async with make_client() as client:
            embedded = await embed(client, endpoint, texts)
            with pytest.raises(GputuiError, match="Text 2: e takes"):
                await embed(client, endpoint, ["short", "word " * 900])
    finally:
        await session.close()
        end_all(tmp_path / "state")
    matrix = similarity(embedded.vectors)
    for row in range(3):
        assert matrix[row][row] == 1.0
        assert list(matrix[row]) == [line[row] for line in matrix]
    assert matrix[0][2] == pytest.approx(1.0, abs=1e-5)
    assert matrix[0][1] < 0.999
    assert embedded.dimensions == 576
    assert embedded.tokens is not None
    assert embedded.tokens_per_second is not None
