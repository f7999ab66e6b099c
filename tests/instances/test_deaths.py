"""Why a server died, as it would say it or the kernel does, one row a case."""

from __future__ import annotations

import contextlib
from pathlib import Path

import httpx
import pytest

from gputui.instances import kernel
from gputui.instances.status import State
from gputui.llama.diagnosis import Killer, diagnose
from tests.instances.conftest import Rig, started, until
from tests.instances.deaths import Case, check

# ── as the server would say it ───────────────────────────────────────────────────────────────────

_CUDA = "/build/ggml/src/ggml-cuda/ggml-cuda.cu:97: CUDA error"
_AT = "  current device: 0, in function {} at /build/ggml/src/ggml-cuda/ggml-cuda.cu:2976"

AT_THE_LOAD: dict[str, tuple[str, int, Case]] = {
    "GPU memory": (
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 20480.00 MiB on device 0: "
        "cudaMalloc failed: out of memory\n"
        "alloc_tensor_range: failed to allocate CUDA0 buffer of size 21474836480\n"
        "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
        1,
        Case("^out of GPU memory: 20.0 GiB did not fit$", "smaller ctx_size", "21474836480", True),
    ),
    "Vulkan memory": (
        "ggml_vulkan: Device memory allocation of size 1073741824 failed.\n"
        "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
        1,
        Case("out of GPU memory: 1.0 GiB did not fit", "n_gpu_layers", "1073741824", True),
    ),
    "driver too old": (
        "ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for CUDA "
        "runtime version",
        1,
        Case("the NVIDIA driver is too old for the CUDA", "Update the driver", "insufficient"),
    ),
    "wrong build": (
        "ggml_cuda_compute_forward: MUL_MAT failed\n"
        "CUDA error: no kernel image is available for execution on the device\n"
        f"{_AT.format('ggml_cuda_compute_forward')}\n  err\n{_CUDA}",
        -6,
        Case("was not built for this GPU", "compute capability", "no kernel image"),
    ),
    "no GPU": (
        f"CUDA error: no CUDA-capable device is detected\n{_AT.format('ggml_cuda_init')}\n{_CUDA}",
        -6,
        Case("CUDA error: no CUDA-capable device", "nvidia-smi", "no CUDA-capable", True),
    ),
    "shared library": (
        "llama-server: error while loading shared libraries: libcudart.so.12: cannot open shared "
        "object file: No such file or directory",
        127,
        Case("shared library libcudart.so.12 is missing", "folder", "libcudart"),
    ),
    "another CPU": ("", -4, Case("killed by SIGILL", "another CPU")),
    "a crash": ("", -11, Case("killed by SIGSEGV", "try another version", again=True)),
    "an assertion": (
        "/x/ggml.c:1: GGML_ASSERT(a != b) failed",
        -6,
        Case(r"killed by SIGABRT: .*GGML_ASSERT\(a != b\)", "log", "GGML_ASSERT", True),
    ),
    "threads": (
        "terminate called after throwing an instance of 'std::system_error'\n"
        "  what():  Resource temporarily unavailable",
        -6,
        Case("no more threads", "ulimit", "Resource temporarily", True),
    ),
    "nothing said": ("loading", 3, Case("ended by itself with exit code 3", "log", again=True)),
    "all is well": ("loading", 0, Case("ended by itself with exit code 0", "no crash")),
}


@pytest.mark.parametrize("case", AT_THE_LOAD)
async def test_a_server_dies_at_the_load(rig: Rig, case: str) -> None:
    log, code, expected = AT_THE_LOAD[case]
    rig.add("one", {"load_log": log, "crash": code}, restart="on-failure")
    session = rig.session()
    await session.start("one")
    check(await session.wait("one", 60), expected)


WHILE_ANSWERING: dict[str, tuple[str, int, Case]] = {
    "GPU memory": (
        f"CUDA error: out of memory\n{_AT.format('alloc')}\n"
        "  cuMemCreate(&handle, reserve_size, &prop, 0)\n" + _CUDA,
        -6,
        Case("^out of GPU memory while answering$", "room beside the model", "out of memory", True),
    ),
    "host memory": (
        "ggml_gallocr_reserve_n: failed to allocate CPU buffer of size 4294967296\n"
        "graph_reserve: failed to allocate compute buffers",
        1,
        Case("out of host memory while answering: 4.0 GiB", "smaller model", "4294967296", True),
    ),
    "illegal access": (
        f"CUDA error: an illegal memory access was encountered\n{_AT.format('ggml_backend_sync')}\n"
        "  cudaStreamSynchronize(cuda_ctx->stream())\n" + _CUDA,
        -6,
        Case("the GPU failed: .*illegal memory access", "xid", "illegal memory access", True),
    ),
    "launch failure": (
        f"CUDA error: unspecified launch failure\n{_AT.format('ggml_cuda_op')}\n{_CUDA}",
        -6,
        Case("the GPU failed: .*launch failure", "xid", "launch failure", True),
    ),
    "device lost": (
        "terminate called after throwing an instance of 'vk::DeviceLostError'\n"
        "  what():  vk::Queue::submit: ErrorDeviceLost",
        -6,
        Case("the GPU failed: ErrorDeviceLost", "xid", "ErrorDeviceLost", True),
    ),
    "asked, then a crash": (
        "0.04.1 I srv  llama_server: listening on http://127.0.0.1:1\n"
        "0.04.5 I srv    operator(): operator(): cleaning up before exit...\n"
        "terminate called without an active exception",
        -6,
        Case("was asked to stop, not by gputui, and crashed while it ended", "no crash"),
    ),
}


@pytest.mark.parametrize("case", WHILE_ANSWERING)
async def test_a_server_dies_while_it_answers(rig: Rig, case: str) -> None:
    log, code, expected = WHILE_ANSWERING[case]
    script = {"die_after": 2, "die_log": log, "die_code": code, "rate": 1000}
    rig.add("one", script, restart="on-failure")
    session = rig.session()
    status = await started(session, "one")
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        with contextlib.suppress(httpx.HTTPError):
            await client.post(f"{status.url}/v1/chat/completions", json={"messages": []})
    check(await until(session, "one", State.FAILED), expected)


# ── by what the kernel says ──────────────────────────────────────────────────────────────────────

OOM = "Memory cgroup out of memory: Killed process 4242 (llama-server) total-vm:70288kB"


@pytest.mark.parametrize(
    ("before", "after", "log", "killer"),
    [
        (0, 0, [OOM], Killer.OTHER),  # an old message: nobody was killed since
        (0, 1, [OOM], Killer.KERNEL),
        (None, 1, [OOM], Killer.KERNEL),
        (0, 1, [OOM.replace("4242", "42")], Killer.LIKELY_KERNEL),
        (0, 1, [], Killer.LIKELY_KERNEL),
        (None, None, [], Killer.UNKNOWN),
        (None, 7, [], Killer.UNKNOWN),
    ],
)
def test_who_killed_it(
    tmp_path: Path, before: int | None, after: int | None, log: list[str], killer: Killer
) -> None:
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("nr_free_pages 1\n" + (f"oom_kill {after}\n" if after is not None else ""))
    assert kernel.kills(vmstat) == after
    assert kernel.who_killed(4242, before, vmstat, iter(log)) is killer
    found = diagnose("", -9, 1, killer=killer)
    assert ("kernel" in found.reason) is (killer is not Killer.OTHER) or "not by" in found.reason
    assert found.hint


def test_a_death_without_a_code_is_the_kernels_where_its_log_says_so() -> None:
    assert diagnose("", None, 1, killer=Killer.KERNEL).reason.startswith("killed by the kernel")
    unknown = diagnose("", None, 1, killer=Killer.LIKELY_KERNEL).reason
    assert unknown == "ended by itself; why is not known"


def test_the_drivers_words_on_a_gpu_that_failed() -> None:
    log = [
        "NVRM: Xid (PCI:0000:01:00): 31, pid=4242, name=llama-server, Ch 00000008, intr 00000000",
        "NVRM: Xid (PCI:0000:01:00): 13, pid=4243, name=other",
        "\x1b[31mNVRM: Xid (PCI:0000:01:00): 79, pid='4242', GPU has fallen off the bus.",
    ]
    assert kernel.xid(4242, iter(log)).startswith("Xid (PCI:0000:01:00): 79, pid='4242'")
    assert kernel.xid(1, iter(log)) == ""
