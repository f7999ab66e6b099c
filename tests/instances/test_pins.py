"""Which variables hold a server to its GPUs, and when a pin is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gputui.config import InstanceConfig
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity
from gputui.llama.binary import Device, inspect, parse_devices
from gputui.llama.command import prepare
from tests.instances.conftest import PRO, RTX, TWIN
from tests.support.scripted_server import make_server

KNOWN = (PRO, RTX, TWIN)
MEMORY = " (97887 MiB, 97000 MiB free)"


def launch(
    folder: Path, gpus: tuple[GpuIdentity, ...], devices: list[str], **script: object
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The pinning variables and the arguments for these GPUs with a build of these devices."""
    model = folder / "m.gguf"
    model.write_bytes(b"GGUF")
    lines = [f"{line}{MEMORY}" for line in devices]
    program = make_server(folder / "bin", devices=lines, **script)
    inherited = {"CUDA_VISIBLE_DEVICES": "7", "GGML_VK_VISIBLE_DEVICES": "7", "PATH": "/bin"}
    instance = InstanceConfig(name="x", model=str(model), port=1, llama_server=str(program))
    made = prepare(instance, gpus, KNOWN, "unused", inherited)
    assert made.gpus == tuple(gpu.uuid for gpu in gpus)
    return {k: v for k, v in made.environment.items() if k != "PATH"}, made.argv


CUDA = [f"CUDA0: {RTX.name}", f"CUDA1: {PRO.name}", f"CUDA2: {TWIN.name}"]  # fastest first
VULKAN = [f"Vulkan0: {RTX.name}", f"Vulkan1: {PRO.name}", f"Vulkan2: {TWIN.name}"]


@pytest.mark.parametrize("gpus", [(PRO,), (TWIN,), (TWIN, PRO)])
def test_cuda_gets_full_uuids_in_the_order_of_the_configuration(
    tmp_path: Path, gpus: tuple[GpuIdentity, ...]
) -> None:
    environment, argv = launch(tmp_path, gpus, CUDA)
    assert environment == {
        "CUDA_VISIBLE_DEVICES": ",".join(gpu.uuid for gpu in gpus),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }
    assert "--device" not in argv


@pytest.mark.parametrize(
    ("gpus", "indices"), [((PRO,), "1"), ((RTX,), "0"), ((TWIN,), "2"), ((TWIN, PRO), "2,1")]
)
def test_vulkan_gets_its_own_indices_twins_by_bus(
    tmp_path: Path, gpus: tuple[GpuIdentity, ...], indices: str
) -> None:
    environment, argv = launch(tmp_path, gpus, VULKAN)
    assert environment == {"GGML_VK_VISIBLE_DEVICES": indices}
    assert "--device" not in argv


def test_a_vulkan_index_that_means_another_gpu_is_refused(tmp_path: Path) -> None:
    raw = ["llvmpipe", RTX.name, PRO.name, TWIN.name]  # software first: the list leaves it out
    with pytest.raises(GputuiError, match="that is what the pin leaves"):
        launch(tmp_path, (PRO,), VULKAN, raw_vulkan=raw)


def test_rocm_gets_its_variable(tmp_path: Path) -> None:
    environment, _ = launch(tmp_path, (PRO,), [f"ROCm0: {RTX.name}", f"ROCm1: {PRO.name}"])
    assert environment == {"HIP_VISIBLE_DEVICES": "1"}


def test_a_build_of_two_backends_is_held_to_one(tmp_path: Path) -> None:
    environment, argv = launch(tmp_path, (TWIN, PRO), [*VULKAN, *CUDA])
    assert environment["CUDA_VISIBLE_DEVICES"] == f"{TWIN.uuid},{PRO.uuid}"
    assert argv[argv.index("--device") + 1] == "CUDA0,CUDA1"


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        ([], "it lists no GPU at all"),
        ([f"CUDA0: {RTX.name}"], "that GPU is not among them"),
        (["Vulkan0: llvmpipe (LLVM 15)"], "that GPU is not among them"),
        (["MTL0: Apple M3"], "no GPU backend"),
    ],
)
def test_a_pin_that_cannot_be_mapped_is_refused(
    tmp_path: Path, devices: list[str], said: str
) -> None:
    with pytest.raises(GputuiError) as refused:
        launch(tmp_path, (PRO,), devices)
    assert said in refused.value.message
    assert "GPU 0 (NVIDIA RTX PRO 6000 Blackwell, 01:00.0)" in refused.value.message
    assert refused.value.hint


def test_twins_of_which_the_build_sees_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GputuiError, match="1 of that name where NVML knows 2"):
        launch(tmp_path, (TWIN,), VULKAN[:2])


@pytest.mark.parametrize("gpus", [(), (replace(PRO, simulated=True),)], ids=["cpu", "simulated"])
def test_without_a_real_gpu_the_server_is_kept_off_all(
    tmp_path: Path, gpus: tuple[GpuIdentity, ...]
) -> None:
    environment, argv = launch(tmp_path, gpus, CUDA)
    assert environment == {}
    assert argv[argv.index("--device") + 1] == "none"


def test_every_field_has_its_flag(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"GGUF")
    program = make_server(tmp_path / "bin", devices=[f"{line}{MEMORY}" for line in CUDA])
    instance = InstanceConfig(
        name="x",
        model=str(model),
        port=8080,
        host="0.0.0.0",
        ctx_size=0,
        n_gpu_layers="all",
        batch_size=512,
        ubatch_size=128,
        threads=16,
        parallel=2,
        split_mode="layer",
        tensor_split=(96, 32.5),
        args=("--flash-attn", "on"),
    )
    argv = prepare(instance, (PRO, RTX), KNOWN, str(program)).argv
    assert argv == (
        *(str(program), "--model", str(model), "--alias", "x", "--host", "0.0.0.0"),
        *("--port", "8080", "--metrics", "--sse-ping-interval", "2"),
        *("--ctx-size", "0", "--n-gpu-layers", "all", "--batch-size", "512"),
        *("--ubatch-size", "128", "--threads", "16", "--parallel", "2"),
        *("--split-mode", "layer", "--tensor-split", "96,32.5", "--flash-attn", "on"),
    )


def test_relative_paths_and_tilde_become_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    make_server(tmp_path / "bin")
    for model, server in (("~/m.gguf", "~/bin/llama-server"), ("m.gguf", "bin/llama-server")):
        made = prepare(InstanceConfig(name="x", model=model, port=1), (), (), server)
        assert made.argv[0] == str(tmp_path / "bin/llama-server")
        assert made.model == tmp_path / "m.gguf"


def test_a_wrong_model_path_names_the_nearest_file(tmp_path: Path) -> None:
    (tmp_path / "qwen-32b.Q4_K_M.gguf").write_bytes(b"GGUF")
    for model, hint in (
        ("qwen-32b.Q4_K_S.gguf", 'Did you mean "qwen-32b.Q4_K_M.gguf"?'),
        ("", "Name the .gguf file in it."),
    ):
        with pytest.raises(GputuiError) as refused:
            prepare(InstanceConfig(name="x", model=str(tmp_path / model), port=1), (), (), "x")
        assert refused.value.hint == hint


def test_the_build_is_asked_once_until_the_binary_changes(tmp_path: Path) -> None:
    program = make_server(tmp_path, devices=[CUDA[0] + MEMORY])
    assert [device.id for device in inspect(program).devices] == ["CUDA0"]
    (tmp_path / "llama-server.script.json").write_text('{"devices": []}')
    assert [device.id for device in inspect(program).devices] == ["CUDA0"]
    program.write_text(program.read_text() + "\n# rebuilt\n")
    assert inspect(program).devices == ()


def test_device_lines() -> None:
    text = (
        "ggml_cuda_init: found 2 CUDA devices:\n  Device 0: NVIDIA X, compute capability 12.0\n"
        "Available devices:\n  CUDA0: NVIDIA GeForce RTX 5090 (32109 MiB, 31000 MiB free)\n"
        "  Vulkan0: AMD Radeon (RADV NAVI31) (24560 MiB, 24000 MiB free)\n  ROCm1: AMD X\n"
    )
    assert parse_devices(text) == (
        Device("CUDA0", "NVIDIA GeForce RTX 5090"),
        Device("Vulkan0", "AMD Radeon (RADV NAVI31)"),
        Device("ROCm1", "AMD X"),
    )
    assert parse_devices("Available devices:\n  (none)\n") == ()
    assert parse_devices("") == ()
