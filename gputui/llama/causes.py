"""The causes of a death that llama-server names in its log, each with its remedy.

The wordings are llama-server's and ggml's own, from builds 10068 to 11434; CUDA's are those of
cudaGetErrorString.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from gputui.text import clean_line, size


@dataclass(frozen=True, slots=True)
class Cause:
    """What went wrong, one line, and what to do.

    ``again``: another try may go better. ``memory``: it was out of memory. ``gpu_fault``: the GPU or its
    driver failed, and the kernel's log may say how. ``start``: where the words stand in the log.
    """

    reason: str
    hint: str
    again: bool = True
    memory: bool = False
    gpu_fault: bool = False
    start: int = 0


_Explain = Callable[[re.Match[str]], Cause]


def find(text: str) -> Cause | None:
    """The cause that a cleaned log names; None where it names none that is known."""
    for pattern, explain in _RULES:
        if match := pattern.search(text):
            return explain(match)
    return None


def _rule(
    pattern: str, reason: str, hint: str, *, again: bool = False, gpu_fault: bool = False
) -> tuple[re.Pattern[str], _Explain]:
    """A rule whose reason and hint take the pattern's groups: ``{0}``, ``{1}`` …"""

    def explain(match: re.Match[str]) -> Cause:
        groups = [clean_line(group or "", 200) for group in match.groups()]

        def fill(template: str) -> str:
            for number, group in enumerate(groups):
                template = template.replace(f"{{{number}}}", group)
            return template

        start = match.start()
        return Cause(fill(reason), fill(hint), again=again, gpu_fault=gpu_fault, start=start)

    return re.compile(pattern, re.M | re.I), explain


LESS = (
    "Use a smaller model or quantization, a smaller ctx_size, fewer n_gpu_layers, "
    "or stop what else is on that GPU."
)
LESS_HOST = "Use a smaller model or ctx_size, more n_gpu_layers, or stop what else uses memory."


def _memory(pattern: str) -> tuple[re.Pattern[str], _Explain]:
    """Groups: ``size`` in bytes, in MiB with a group ``unit``; ``device`` as ggml names its buffers."""

    def explain(match: re.Match[str]) -> Cause:
        groups = match.groupdict()
        device = groups.get("device") or "GPU"
        on_host = device.upper() == "CPU" or device.endswith("_Host")
        reason = f"out of {'host' if on_host else 'GPU'} memory"
        if groups.get("size"):
            wanted = float(groups["size"]) * (2**20 if groups.get("unit") else 1)
            reason += f": {size(wanted)} did not fit"
        return Cause(reason, LESS_HOST if on_host else LESS, memory=True, start=match.start())

    return re.compile(pattern, re.M | re.I), explain


def _some_memory(pattern: str, reason: str) -> tuple[re.Pattern[str], _Explain]:
    def explain(match: re.Match[str]) -> Cause:
        return Cause(reason, LESS, memory=True, start=match.start())

    return re.compile(pattern, re.M | re.I), explain


_OLD = "Is it a flag of this llama.cpp version? See llama-server --help."
_MODEL = "Look at model in the configuration."
_AGAIN = "Download it again and compare its size or checksum."
_NEWER = "Use a newer llama.cpp, or a file made for this one."
_XID = "Look for Xid lines in the kernel log: journalctl -k | grep -i xid"

_RULES: tuple[tuple[re.Pattern[str], _Explain], ...] = (
    _rule(
        r"couldn't bind HTTP server socket",
        "port {port} is in use",
        "Stop what uses it, or give the instance another port.",
        again=True,
    ),
    _rule(r"error: invalid argument: (\S+)", "llama-server knows no flag {0}", _OLD),
    _rule(
        r'error while handling argument "([^"\n]*)": (?:error: )?(.*)',
        "llama-server does not take this value of {0}: {1}",
        "See llama-server --help.",
    ),
    _rule(
        r"error: (.*) requires an argument|expected value for argument(.*)",
        "a flag of llama-server lacks its value: {0}{1}",
        "Look at args in the configuration.",
    ),
    _rule(
        r"error while loading shared libraries: ([^:\s]+)",
        "llama-server does not run: the shared library {0} is missing",
        "Keep llama-server in the folder it was built or unpacked in.",
    ),
    _rule(
        r"failed to open GGUF file '?(.*?)'? \(?(No such file or directory|Permission denied)",
        "the model file {0} cannot be opened: {1}",
        _MODEL,
    ),
    _rule(
        r"invalid magic characters?:? ?(.*?), expected 'GGUF'",
        "the model file is not a GGUF: it begins with {0}",
        "Download it again: such a file is often an error page or a Git LFS pointer.",
    ),
    _rule(
        r"tensor '([^'\n]*)' has invalid ggml type (\d+)",
        "this llama-server does not know the quantization of the model: ggml type {1} of tensor {0}",
        _NEWER,
    ),
    _rule(
        r"this GGUF file is version (\d+) but this software only supports",
        "this llama-server does not know version {0} of GGUF",
        _NEWER,
    ),
    _rule(
        r"(data is not within the file bounds|failed to read key-value pairs"
        r"|failed to read tensor (?:info|data)|failed to read magic|corrupted or incomplete"
        r"|is out of bounds, model|tensor data size mismatch)",
        "the model file is incomplete or corrupt",
        _AGAIN,
    ),
    _rule(
        r"unknown model architecture: '([^'\n]*)'",
        "this llama-server does not know the model architecture {0}",
        "Use a newer llama.cpp.",
    ),
    _rule(
        r"unknown (?:pre-tokenizer type|tokenizer): '([^'\n]*)'",
        "this llama-server does not know the tokenizer {0}",
        "Use a newer llama.cpp.",
    ),
    _rule(
        r"(key not found in model: \S+|missing tensor '[^'\n]*'|wrong number of tensors[^\n]*)",
        "the model file does not hold what this llama-server expects: {0}",
        "It was made for another llama.cpp: use a newer one, or another conversion of the model.",
    ),
    _memory(r"(?:failed|unable) to allocate (?P<device>\S+) buffer of size (?P<size>\d{1,18})"),
    _memory(r"allocating (?P<size>\d{1,12}(?:\.\d{1,6})?) (?P<unit>MiB) on device.*out of memory"),
    _memory(r"Device memory allocation of size (?P<size>\d{1,18}) failed"),
    _memory(r"failed to allocate buffer of size (?P<size>\d{1,12}(?:\.\d{1,6})?) (?P<unit>MiB)"),
    _some_memory(
        r"(CUDA error: out of memory|cudaMalloc failed: out of memory|ErrorOutOfDeviceMemory"
        r"|CUBLAS_STATUS_ALLOC_FAILED|hipErrorOutOfMemory|cuMemCreate\([^\n]*out of memory"
        r"|unable to allocate (?:CUDA|ROCm|Vulkan)\d* buffer)",
        "out of GPU memory",
    ),
    _some_memory(
        r"(failed to allocate (?:buffer for )?(?:kv cache|compute)|insufficient memory"
        r"|std::bad_alloc|ErrorOutOfHostMemory|unable to allocate CPU buffer|posix_memalign failed"
        r"|Cannot allocate memory)",
        "out of memory",
    ),
    _rule(
        r"(?:std::system_error|thread constructor failed)[^\n]*\n(?:[^\n]*\n)?"
        r"[^\n]*Resource temporarily unavailable",
        "the system gives it no more threads",
        "A limit is reached: ulimit -u, ulimit -v, or pids.max of its cgroup.",
        again=True,
    ),
    _rule(
        r"CUDA driver version is insufficient for CUDA runtime version",
        "the NVIDIA driver is too old for the CUDA of this llama-server",
        "Update the driver, or use a build for an older CUDA: nvidia-smi shows the newest it can run.",
    ),
    _rule(
        r"no kernel image is available for execution on the device",
        "this llama-server was not built for this GPU",
        "Use a build for its compute capability (CMAKE_CUDA_ARCHITECTURES).",
    ),
    _rule(
        r"(ErrorDeviceLost|CUDA error: (?:unspecified launch failure|an illegal memory access"
        r"|misaligned address|an illegal instruction|uncorrectable ECC|the launch timed out"
        r"|unknown error|hardware stack error)[^\n]*)",
        "the GPU failed: {0}",
        _XID,
        again=True,
        gpu_fault=True,
    ),
    _rule(
        r"CUDA error: (.*)",
        "CUDA error: {0}",
        "Does nvidia-smi work? The driver must be new enough for the CUDA this binary is built for.",
        again=True,
        gpu_fault=True,
    ),
)
