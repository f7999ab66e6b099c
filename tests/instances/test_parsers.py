"""What comes from elsewhere is read without a crash, and rightly: logs, metrics, records, sizes."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gputui.errors import GputuiError
from gputui.instances import locks, records
from gputui.instances.loading import Durations
from gputui.instances.records import Paths, Record
from gputui.llama.diagnosis import diagnose
from gputui.llama.probe import decode
from gputui.llama.wire import Counters, Props, Slot, read_metrics
from gputui.models.files import files_of, model_bytes, short_name

LOGS = {
    "missing": (
        "0.00.014.464 E gguf_init_from_file: failed to open GGUF file '/nope.gguf' "
        "(No such file or directory)\n"
        "0.00.014.484 E srv  llama_server: exiting due to model loading error",
        "the model file /nope.gguf cannot be opened: No such file or directory",
    ),
    "text": (
        "0.00.006.716 E gguf_init_from_reader: invalid magic characters: 'hell', expected 'GGUF'",
        "the model file is not a GGUF: it begins with 'hell'",
    ),
    "truncated": (
        "0.00.044.032 E llama_model_load: error loading model: tensor 'token_embd.weight' data is "
        "not within the file bounds, model is corrupted or incomplete",
        "the model file is incomplete or corrupt",
    ),
    "truncated header": (
        "0.00.006.243 E gguf_init_from_reader: failed to read key-value pairs",
        "the model file is incomplete or corrupt",
    ),
    "flag": ("error: invalid argument: --foo", "llama-server knows no flag --foo"),
    "value": (
        'error while handling argument "-c": stoi\n\nusage:\n-c, --ctx-size N  size\n\n'
        "to show complete usage, run with -h",
        "llama-server does not take this value of -c: stoi",
    ),
    "port": (
        "0.00.011.640 E srv  start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 1",
        "port 8080 is in use",
    ),
    "host memory": (
        "0.29.579.638 E alloc_tensor_range: failed to allocate CPU buffer of size 9216000000000\n"
        "0.30.179.144 E llama_init_from_model: failed to initialize the context: failed to "
        "allocate buffer for kv cache",
        "out of host memory: 8583.1 GiB did not fit",
    ),
    "cuda memory": (
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 20480.00 MiB on device 0: "
        "cudaMalloc failed: out of memory\n"
        "alloc_tensor_range: failed to allocate CUDA0 buffer of size 21474836480",
        "out of GPU memory: 20.0 GiB did not fit",
    ),
    "vulkan memory": (
        "ggml_vulkan: Device memory allocation of size 1073741824 failed.\n"
        "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
        "out of GPU memory: 1.0 GiB did not fit",
    ),
    "architecture": (
        "llama_model_load: error loading model: unknown model architecture: 'qwen9'",
        "this llama-server does not know the model architecture qwen9",
    ),
    "library": (
        "llama-server: error while loading shared libraries: libx.so.1: cannot open shared object "
        "file: No such file or directory",
        "llama-server does not run: the shared library libx.so.1 is missing",
    ),
    "assertion": (
        "0.01.000.000 I srv  load_model: loading\n/x/ggml.c:1: GGML_ASSERT(a != b) failed",
        "/x/ggml.c:1: GGML_ASSERT(a != b) failed",
    ),
    "other": (
        "0.00.1.2 E srv  thing: something new went wrong\n"
        "0.00.1.3 E srv  llama_server: exiting due to model loading error",
        "something new went wrong",
    ),
    "from outside": (
        "0.04.538.526 I slot release: id 3\n"
        "0.04.580.855 I srv    operator(): operator(): cleaning up before exit...\n",
        "was asked to stop, not by gputui",
    ),
}


@pytest.mark.parametrize("case", LOGS, ids=str)
def test_diagnosis_in_the_servers_own_wordings(case: str) -> None:
    log, reason = LOGS[case]
    found = diagnose(log, 0 if case == "from outside" else 1, 8080)
    assert found.reason == reason
    assert found.hint


def test_diagnosis_of_a_death_by_signal() -> None:
    assert "SIGILL" in diagnose("AMX is not ready to be used!\n", -4, 1).reason
    assert "another CPU" in diagnose("", -4, 1).hint
    assert "oom" in diagnose("", -9, 1).hint
    assert diagnose("", None, 1).reason == "ended by itself; why is not known"
    assert "exit code 3" in diagnose("", 3, 1).reason


@given(st.text(), st.sampled_from([None, 0, 1, 127, -9, -4, -6, -64, -200]))
def test_diagnosis_takes_any_text(log: str, code: int | None) -> None:
    check_line(log, code)


@given(
    st.lists(st.sampled_from([log for log, _ in LOGS.values()]) | st.text()), st.integers(-70, 255)
)
def test_diagnosis_takes_any_mixture(lines: list[str], code: int) -> None:
    check_line("\n".join(lines), code)


def check_line(log: str, code: int | None) -> None:
    found = diagnose(log, code, 8080)
    assert found.reason
    assert all(part.isprintable() or part.isspace() for part in found.reason + found.hint)
    assert "\n" not in found.reason + found.hint
    assert "\x1b" not in found.reason
    assert len(found.reason) < 700


def test_diagnosis_of_a_hostile_log_is_quick_and_clean() -> None:
    nasty = "failed to open GGUF file '" * 3000 + "\x1b]52;c;aGk=\x07" + "allocating 1" * 5000
    assert "\x1b" not in diagnose(nasty, 1, 1).reason


METRICS = """\
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 3
llamacpp:prompt_seconds_total 0.015
llamacpp:tokens_predicted_total 8
llamacpp:tokens_predicted_seconds_total 0.052
llamacpp:requests_processing 1
llamacpp:requests_deferred 2
llamacpp:n_busy_slots_per_decode nan
"""


def test_metrics_of_the_real_server() -> None:
    assert read_metrics(METRICS) == Counters(3, 0.015, 8, 0.052, 1, 2)
    assert read_metrics("") == Counters()


@given(st.text() | st.lists(st.sampled_from(METRICS.split("\n")) | st.text()).map("\n".join))
def test_metrics_of_anything(text: str) -> None:
    counters = read_metrics(text)
    rate = counters.generation_rate(counters)
    assert rate is None
    for value in (counters.requests_processing, counters.requests_deferred):
        assert value is None or value >= 0


counter = st.none() | st.floats(0, 1e12)


@given(counter, counter, counter, counter)
def test_a_rate_is_positive_or_not_known(
    a: float | None, b: float | None, c: float | None, d: float | None
) -> None:
    before = Counters(generated_tokens=a, generated_seconds=b)
    now = Counters(generated_tokens=c, generated_seconds=d)
    rate = now.generation_rate(before)
    assert rate is None or rate > 0
    assert now.generation_rate(None) is None


def test_a_counter_reset_counts_from_zero() -> None:
    before = Counters(generated_tokens=1000, generated_seconds=100)
    after = Counters(generated_tokens=30, generated_seconds=2)
    assert after.generation_rate(before) == 15


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
odd_slots = st.lists(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("id", "id_task", "is_processing", "next_token"), json_values),
    )
)


@given(odd_slots | json_values)
def test_slots_of_any_json(body: object) -> None:
    slots = decode(json.dumps(body).encode(), list[Slot])
    for slot in slots or []:
        assert slot.decoded >= 0
        assert hash(slot.key) is not None


@given(json_values | st.fixed_dictionaries({"total_slots": json_values}))
def test_props_of_any_json(body: object) -> None:
    props = decode(json.dumps(body).encode(), Props)
    assert props is None or props.slots is None or props.slots >= 0


@given(st.binary())
def test_bodies_of_any_bytes(body: bytes) -> None:
    decode(body, Props)
    decode(body, list[Slot])


records_made = st.builds(
    Record,
    name=st.just("x"),
    pid=st.integers(1, 2**22),
    start_ticks=st.integers(0, 2**60),
    boot_id=st.text(),
    executable=st.text(),
    argv=st.lists(st.text()).map(tuple),
    host=st.text(),
    port=st.integers(1, 65535),
    model=st.text(),
    log=st.text(),
    started_at=st.floats(0, 1e12),
    gpus=st.lists(st.text()).map(tuple),
    stop_deadline=st.none() | st.floats(0, 1e12),
    exit_code=st.none() | st.integers(-64, 255),
    failure=st.none() | st.text(),
)
with_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@with_files
@given(record=records_made)
def test_a_record_comes_back_as_it_was_written(tmp_path: Path, record: Record) -> None:
    paths = Paths(tmp_path)
    records.write(paths, record)
    assert records.read(paths.record("x")) == record


@with_files
@given(data=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_file_as_a_record_is_none_or_a_record(tmp_path: Path, data: bytes) -> None:
    paths = Paths(tmp_path)
    file = paths.record("x")
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    assert records.read(file) is None
    assert records.broken(paths, "x")
    assert records.running_pids(tmp_path) == {}


def test_fields_of_a_newer_gputui_are_ignored(tmp_path: Path) -> None:
    record = _record()
    data = msgspec.to_builtins(record) | {"colour": "red"}
    file = Paths(tmp_path).record("x")
    file.parent.mkdir()
    file.write_text(json.dumps(data))
    assert records.read(file) == record


def _record() -> Record:
    return Record(
        name="x",
        pid=1,
        start_ticks=1,
        boot_id="b",
        executable="e",
        argv=(),
        host="h",
        port=1,
        model="m",
        log="l",
        started_at=1.0,
    )


def test_a_lock_says_who_holds_it_and_falls_with_its_holder(tmp_path: Path) -> None:
    import os

    path = tmp_path / "x.lock"
    assert locks.holder(path) is None
    with locks.hold(path, "start"):
        assert locks.holder(path) == locks.Holder(os.getpid(), "start")
        with pytest.raises(locks.LockHeldError) as refused, locks.hold(path, "stop"):
            pass
        assert refused.value.holder == locks.Holder(os.getpid(), "start")
    assert locks.holder(path) is None
    path.write_text("4242 start")  # what a crash leaves behind
    assert locks.holder(path) is None
    with locks.hold(path, "stop"):
        pass


def test_a_split_model_is_all_its_parts(tmp_path: Path) -> None:
    first = tmp_path / "m-00001-of-00002.gguf"
    first.write_bytes(bytes(10))
    assert model_bytes(first) is None
    (tmp_path / "m-00002-of-00002.gguf").write_bytes(bytes(5))
    assert model_bytes(first) == 15
    assert len(files_of(first)) == 2


def test_short_names() -> None:
    assert short_name("/a/Qwen2.5-Coder-32B.Q5_K_M.gguf") == "Qwen2.5-Coder-32B Q5_K_M"
    assert short_name("R1-Distill-IQ4_XS-00001-of-00003.gguf") == "R1-Distill IQ4_XS"
    assert short_name("plain.gguf") == "plain"


def test_durations_are_kept_by_file(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(bytes(10))
    Durations(tmp_path / "loads.json").put(model, 12.5)
    assert Durations(tmp_path / "loads.json").get(model) == 12.5
    model.write_bytes(bytes(11))
    assert Durations(tmp_path / "loads.json").get(model) is None
    (tmp_path / "loads.json").write_text("garbage")
    assert Durations(tmp_path / "loads.json").get(model) is None


def test_an_unwritable_record_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "instances").write_text("in the way")
    with pytest.raises(GputuiError):
        records.write(Paths(tmp_path), _record())
