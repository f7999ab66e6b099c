"""From a configured instance to a command line and an environment: what is run, pinned where."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gputui.config import InstanceConfig
from gputui.config.tables import Role
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity, short_bus_id
from gputui.llama import binary as binaries
from gputui.llama.binary import Build
from gputui.models.gguf import known_header
from gputui.text import clean_line, nearest


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run: ``environment`` is the whole of it, ``gpus`` are UUIDs.

    ``cpus`` are the only CPUs it may run on, () for all; ``numa_node`` is where its memory is to come
    from; ``scope`` is the name of the systemd scope that it gets of its own, "" for none, and ``through``
    the command that makes one and then execs ``argv``.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    gpus: tuple[str, ...]
    model: Path
    cpus: tuple[int, ...] = ()
    numa_node: int | None = None
    scope: str = ""
    through: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pin:
    """What holds a server to its GPUs: variables, and the value of ``--device`` (None: without)."""

    variables: Mapping[str, str] = field(default_factory=dict)
    devices: str | None = None


_VARIABLES = {
    "cuda": "CUDA_VISIBLE_DEVICES",
    "rocm": "HIP_VISIBLE_DEVICES",
    "vulkan": "GGML_VK_VISIBLE_DEVICES",
}
"""What each backend obeys, in the order of preference for a build that has several."""

_FLAGS: tuple[tuple[str, str], ...] = (
    ("--ctx-size", "ctx_size"),
    ("--n-gpu-layers", "n_gpu_layers"),
    ("--batch-size", "batch_size"),
    ("--ubatch-size", "ubatch_size"),
    ("--threads", "threads"),
    ("--parallel", "parallel"),
    ("--split-mode", "split_mode"),
    ("--cache-type-k", "cache_type_k"),
    ("--cache-type-v", "cache_type_v"),
)


_ROLE_FLAGS: Mapping[Role, tuple[str, ...]] = {
    "chat": (),
    "embedding": ("--embeddings",),
    "rerank": ("--rerank",),  # it sets the pooling that ranks by itself
}


def prepare(
    instance: InstanceConfig,
    gpus: Sequence[GpuIdentity],
    known: Sequence[GpuIdentity],
    llama_server: str,
    environment: Mapping[str, str] | None = None,
) -> Launch:
    """The command for an instance on exactly these GPUs (() for the CPU alone).

    ``known`` are all GPUs of the machine, ``llama_server`` the configuration's default binary.
    Blocks while the binary is asked for its devices, the first time. Raises GputuiError where the
    model or the binary cannot be used, or the binary cannot be held to these GPUs.
    """
    model = model_path(instance)
    program = binaries.find(instance.llama_server or llama_server)
    build = binaries.inspect(program)  # also for the CPU: a binary that cannot run says so here
    pin = Pin(devices="none")  # simulated GPUs have no hardware: such a server runs on the CPU
    if any(not gpu.simulated for gpu in gpus):
        pin = find_pin(build, gpus, known)
        _check_pin(program, pin, gpus)
    inherited = binaries.clean_environment(os.environ if environment is None else environment)
    return Launch(
        (str(program), *arguments(instance, model, pin.devices)),
        {**inherited, **pin.variables},
        tuple(gpu.uuid for gpu in gpus),
        model,
    )


def arguments(instance: InstanceConfig, model: Path, devices: str | None) -> tuple[str, ...]:
    """The arguments of llama-server; ``devices`` goes to ``--device``, None for all it can see."""
    argv = ["--model", str(model), "--alias", instance.name]
    argv += ["--host", instance.host, "--port", str(instance.port), "--metrics"]
    # A stream that nobody reads keeps a stopping server alive until its next ping.
    argv += ["--sse-ping-interval", "2"]
    if devices is not None:
        argv += ["--device", devices]
    for flag, attribute in _FLAGS:
        value = getattr(instance, attribute)
        if value is not None:
            argv += [flag, str(value)]
    argv += _ROLE_FLAGS[instance.role]
    if instance.mmproj is not None:
        argv += ["--mmproj", str(mmproj_path(instance))]
    if instance.tensor_split:
        argv += ["--tensor-split", ",".join(f"{part:g}" for part in instance.tensor_split)]
    return (*argv, *instance.args)


def model_path(instance: InstanceConfig) -> Path:
    """The model file, absolute. Raises GputuiError where it cannot be read."""
    return _file(instance, "model", instance.model)


def mmproj_path(instance: InstanceConfig) -> Path:
    """The multimodal projector of an instance that has one, absolute. Raises GputuiError."""
    return _file(instance, "mmproj", instance.mmproj or "")


def _file(instance: InstanceConfig, key: str, value: str) -> Path:
    path = Path(os.path.abspath(Path(value).expanduser()))  # noqa: PTH100 - keeps links
    where = f"[[instances]] {instance.name}: {key}"
    if path.is_dir():
        raise GputuiError(f"{where}: {path} is a directory", "Name the .gguf file in it.")
    if not path.exists():
        raise GputuiError(f"{where}: {path}: no such file", _nearby(path))
    if not os.access(path, os.R_OK):
        raise GputuiError(f"{where}: {path}: permission denied", f"chmod u+r {path}")
    return path


def check_model(instance: InstanceConfig) -> None:
    """Raise GputuiError where llama.cpp could not load the model or its projector: no GGUF, or cut off."""
    files = [("model", model_path(instance))]
    if instance.mmproj is not None:
        files.append(("mmproj", mmproj_path(instance)))
    for key, file in files:
        try:
            known_header(file)
        except GputuiError as error:
            where = f"[[instances]] {instance.name}: {key}"
            raise GputuiError(f"{where}: {error.message}", error.hint) from error


def find_pin(build: Build, gpus: Sequence[GpuIdentity], known: Sequence[GpuIdentity]) -> Pin:
    """What holds a server of this build to exactly these GPUs, in this order.

    CUDA takes UUIDs. Vulkan and ROCm take indices in an order of their own, found by name and, for
    equal names, by PCI bus order among all ``known`` GPUs. Raises GputuiError where that leaves a
    doubt: better no server than one on the wrong GPU.
    """
    doubts: list[GputuiError] = []
    for backend in (name for name in _VARIABLES if name in build.backends):
        try:
            indices = [_index(gpu, backend, build, known) for gpu in gpus]
        except GputuiError as error:
            doubts.append(error)
        else:
            return _pin(backend, gpus, indices, build)
    raise doubts[0] if doubts else _cannot_pin(gpus[0], build, "it lists no GPU backend")


def _pin(backend: str, gpus: Sequence[GpuIdentity], indices: Sequence[int], build: Build) -> Pin:
    words = [gpu.uuid for gpu in gpus] if backend == "cuda" else map(str, indices)
    variables = {_VARIABLES[backend]: ",".join(words)}
    if backend == "cuda":
        # CUDA's own order is fastest first; with this one its numbers are NVML's.
        variables["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if len(build.backends) == 1:
        return Pin(variables)
    # The other backend would still see every GPU. Behind the variable, devices count from 0.
    prefix = next(d.id for d in build.devices if d.backend == backend).rstrip("0123456789")
    return Pin(variables, ",".join(f"{prefix}{number}" for number in range(len(gpus))))


def _index(gpu: GpuIdentity, backend: str, build: Build, known: Sequence[GpuIdentity]) -> int:
    """The place of a GPU among the devices of a backend. Raises GputuiError where in doubt."""
    devices = [device for device in build.devices if device.backend == backend]
    places = [place for place, device in enumerate(devices) if _same(device.name, gpu.name)]
    twins = sorted((g for g in known if _same(g.name, gpu.name)), key=lambda g: g.pci_bus_id)
    if not places:
        raise _cannot_pin(gpu, build, "that GPU is not among them")
    if backend == "cuda":
        return 0  # not needed: its UUID says which
    if len(places) != len(twins) or gpu not in twins:
        raise _cannot_pin(gpu, build, f"{len(places)} of that name where NVML knows {len(twins)}")
    return places[twins.index(gpu)]


def _check_pin(program: Path, pin: Pin, gpus: Sequence[GpuIdentity]) -> None:
    """Ask the binary what it sees through the pin, where that is an index.

    Vulkan's list leaves out some devices that its indices count (software ones, a GPU that two
    drivers offer), so the same number can mean another GPU (ggml-vulkan.cpp, device selection).
    """
    if "GGML_VK_VISIBLE_DEVICES" not in pin.variables:
        return
    build = binaries.inspect(program, pin.variables)
    seen = [device for device in build.devices if device.backend == "vulkan"]
    if len(seen) != len(gpus):
        raise _cannot_pin(gpus[0], build, "that is what the pin leaves")
    for device, gpu in zip(seen, gpus, strict=True):
        if not _same(device.name, gpu.name):
            raise _cannot_pin(gpu, build, "that is what the pin leaves")


def _same(device: str, gpu: str) -> bool:
    """Whether a build's device name and NVML's are one: case, spaces and the maker are left out."""

    def plain(name: str) -> str:
        return "".join(name.lower().removeprefix("nvidia ").split())

    return plain(device) == plain(gpu)


def _cannot_pin(gpu: GpuIdentity, build: Build, why: str) -> GputuiError:
    listed = ", ".join(f"{device.id} ({device.name})" for device in build.devices)
    where = f"GPU {gpu.index} ({gpu.name}, {short_bus_id(gpu)})"
    if not listed:
        return GputuiError(
            f"{build.path} cannot be pinned to {where}: it lists no GPU at all",
            "Use a llama-server built for this GPU (CUDA, Vulkan or ROCm) whose driver works here: "
            "llama-server --list-devices. For the CPU alone write gpus = [].",
        )
    return GputuiError(
        f"{build.path} cannot be pinned to {where}: it lists {listed}; {why}",
        "Check llama-server --list-devices. A CUDA build can be pinned to every NVIDIA GPU.",
    )


def _nearby(path: Path) -> str:
    """The .gguf files of the folder, as a hint."""
    try:
        files = sorted(file.name for file in path.parent.glob("*.gguf"))
    except OSError:
        files = []
    if not files:
        return f"No .gguf file is in {path.parent}."
    near = nearest(path.name, files)
    return f'Did you mean "{near}"?' if near else f"There: {clean_line(', '.join(files), 200)}"
