from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.config import OWNED_FLAGS, Config, load, parse, resolve_gpus
from gputui.errors import ConfigError
from gputui.identity import GpuIdentity

FILE = Path("rig.toml")
ONE = '[[instances]]\nname = "a"\nmodel = "m.gguf"\nport = 8080\n'
TWO = ONE.replace('"a"', '"b"')


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), FILE)
    assert "rig.toml" in caught.value.message
    return caught.value


def outcome(raw: bytes) -> bool:
    """True where the bytes are a configuration, or are refused in words that name the file."""
    try:
        parse(raw, FILE)
    except ConfigError as error:
        return error.message.startswith("rig.toml")
    return True


def test_the_example_of_the_readme_is_accepted() -> None:
    readme = Path(__file__).parents[1] / "README.md"
    blocks = readme.read_text().split("```toml\n")[1:]
    assert blocks
    config = parse(blocks[0].split("```")[0].encode(), FILE)
    assert [instance.name for instance in config.instances] == ["deepseek", "qwen-coder"]


@pytest.mark.parametrize(
    ("text", "parts", "hint"),
    [
        ("intervall = 2", ["top level", '"intervall" = 2'], '"interval"'),
        ('interval = "x"', ["interval", '"x"', "float"], ""),
        ("interval = 0", ["interval", "0", ">= 0.1"], ""),
        (ONE + "ctx_sise = 3", ["[[instances]] a", '"ctx_sise" = 3'], '"ctx_size"'),
        (ONE + 'ctx_size = "big"', ["[[instances]] a", 'ctx_size = "big"', "int"], ""),
        (ONE + 'split_mode = "lyer"', ["[[instances]] a", 'split_mode = "lyer"'], '"layer"'),
        (ONE + "port = 99999", ["rig.toml"], ""),
        (ONE.replace("8080", "99999"), ["[[instances]] a", "port = 99999", "65535"], ""),
        (ONE + 'key = "12"', ["[[instances]] a", 'key = "12"'], "1 to 9"),
        (ONE + 'gpus = "0"', ["[[instances]] a", 'gpus = "0"', "array"], ""),
        (ONE + ONE, ["[[instances]] a", 'name = "a"', "taken"], "own"),
        (ONE + 'key = "1"\n' + TWO + 'key = "1"', ["[[instances]] b", 'key = "1"', "a"], '"2"'),
        (ONE + 'args = ["--port", "1"]', ["[[instances]] a", '"--port"'], "port"),
        (ONE + 'args = ["--metrics"]', ["[[instances]] a", '"--metrics"'], "Leave it out"),
        (ONE + 'args = ["--api_key", "x"]', ["[[instances]] a", '"--api_key"'], "--api-key-file"),
        (ONE + 'args = ["--hf_token=x"]', ["[[instances]] a", '"--hf_token"'], "HF_TOKEN"),
        (ONE + 'args = ["--ctx_size", "5"]', ["[[instances]] a", '"--ctx_size"'], "ctx_size"),
        (
            ONE + 'cpus = "0"\nargs = ["--cpu_mask", "1"]',
            ["[[instances]] a", '"--cpu_mask"'],
            "Leave one",
        ),
        (ONE + 'args = ["--api-key=x"]', ["[[instances]] a", '"--api-key"'], "--api-key-file"),
        (ONE.replace('"a"', '"../a"'), ["[[instances]] ../a", "name"], "letters"),
        ("[terminal]\ndifference = false", ["[terminal]", '"difference"'], '"differences"'),
        ('[terminal]\ndifferences = "no"', ["[terminal]", 'differences = "no"'], ""),
        ("[power]\npsu = 3", ["[power]", '"psu" = 3'], '"psu_watts"'),
        ('[power]\npsu_watts = "3"', ["[power]", 'psu_watts = "3"'], ""),
        ("[[instances]]\nname = 'a'\nport = 1", ["[[instances]] a", "model"], "Add"),
        ('[[endpoints]]\nname = "e"\nurl = "ftp://x"', ["[[endpoints]] e", "url"], "http"),
        (ONE + '[[endpoints]]\nname = "A"\nurl = "http://x"', ["[[endpoints]] A", "taken"], ""),
        (ONE + r'args = ["-x", "a\u0000b"]', ["[[instances]] a", r'args = "a\u0000b"'], "control"),
        (ONE + r'host = "a\u0007"', ["[[instances]] a", r'host = "a\u0007"'], "control"),
        (ONE.replace("m.g", r"m\u0000.g"), ["[[instances]] a", r'model = "m\u0000.'], "control"),
        (ONE + r'llama_server = "x\n"', ["[[instances]] a", r'llama_server = "x\n"'], "control"),
        (r'llama_server = "\u007f"', ["top level", "llama_server"], "control"),
        (ONE.replace('"a"', r'"a\n"'), ["[[instances]] a", r'name = "a\n"'], "letters"),
        ("x = = 2", ["not valid TOML", "line 1"], ""),
        ("\xff", ["rig.toml"], ""),
    ],
)
def test_an_error_names_table_key_value_and_what_to_do(
    text: str, parts: list[str], hint: str
) -> None:
    error = refused(text)
    for part in parts:
        assert part in error.message
    assert hint in error.hint


def test_a_missing_default_file_means_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("GPUTUI_CONFIG", raising=False)
    assert load() == Config()
    assert not list(tmp_path.iterdir()), "reading creates nothing"


def test_a_missing_named_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none.toml")


def test_two_instances_may_share_a_port() -> None:
    assert len(parse((ONE + TWO).encode(), FILE).instances) == 2


def test_a_gpu_that_resolves_to_none_names_file_table_and_nearest() -> None:
    config = parse((ONE + 'gpus = ["RTX 509O"]').encode(), FILE)
    gpu = GpuIdentity(0, "GPU-1", "NVIDIA GeForce RTX 5090", "00000000:01:00.0")
    with pytest.raises(ConfigError) as caught:
        resolve_gpus(config.instances[0], [gpu], FILE)
    assert 'rig.toml: [[instances]] a: gpus: "RTX 509O" names no GPU' in caught.value.message
    assert "NVIDIA GeForce RTX 5090" in caught.value.hint


@pytest.mark.parametrize("flag", sorted(OWNED_FLAGS))
def test_every_owned_flag_is_refused(flag: str) -> None:
    assert f'"{flag}"' in refused(ONE + f'args = ["{flag}"]').message


def test_an_argument_may_have_lines_and_tabs() -> None:
    config = parse((ONE + r'args = ["--chat-template", "{{ a }}\n\tb"]').encode(), FILE)
    assert config.instances[0].args[1] == "{{ a }}\n\tb"


def test_urls_reach_wildcard_and_ipv6_hosts() -> None:
    def url(host: str) -> str:
        return parse((ONE + f'host = "{host}"').encode(), FILE).instances[0].url

    assert url("0.0.0.0") == "http://127.0.0.1:8080"
    assert url("::1") == "http://[::1]:8080"


@given(st.binary(max_size=200))
def test_no_bytes_crash_it(raw: bytes) -> None:
    assert outcome(raw)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["instances", "name", "port", "gpus", "power", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_structure_crashes_it(value: object) -> None:
    import msgspec

    try:
        raw = msgspec.toml.encode({"instances": value, "power": value})
    except (ImportError, TypeError, ValueError):
        raw = msgspec.json.encode(value)
    assert outcome(raw)
