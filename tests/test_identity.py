from __future__ import annotations

import pytest

from gputui.identity import GpuIdentity, GpuSelectionError, select_gpu, select_gpus, short_bus_id

PRO = GpuIdentity(0, "GPU-aaaa1111-0000", "NVIDIA RTX PRO 6000 Blackwell", "00000000:01:00.0")
G5090 = GpuIdentity(1, "GPU-bbbb2222-0000", "NVIDIA GeForce RTX 5090", "00000000:21:00.0")
SECOND = GpuIdentity(2, "GPU-bbbb3333-0000", "NVIDIA GeForce RTX 5090", "00000001:21:00.0")
ALL = (PRO, G5090, SECOND)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("0", PRO),
        ("2", SECOND),
        ("GPU-aaaa1111-0000", PRO),
        ("GPU-bbbb2", G5090),
        ("bbbb3", SECOND),
        ("01:00.0", PRO),
        ("00000000:21:00.0", G5090),
        ("0001:21:00.0".rjust(16, "0"), SECOND),
        ("pro 6000", PRO),
        ("6000", PRO),
        (" PRO 6000 ", PRO),
    ],
)
def test_every_way_to_name_a_gpu(selector: str, expected: GpuIdentity) -> None:
    assert select_gpu(selector, ALL) is expected


def test_a_name_that_two_gpus_share_is_refused_with_both() -> None:
    with pytest.raises(
        GpuSelectionError, match=r"names 2 GPUs: 1 .*21:00.0.*, 2 .*00000001:21:00.0"
    ) as caught:
        select_gpu("5090", ALL)
    assert "UUID" in caught.value.hint


@pytest.mark.parametrize(
    "selector", ["", " ", "7", "9", "50", "090", "600", "4090", "GPU-cccc", "99:00.0"]
)
def test_a_selector_that_names_none_lists_what_there_is(selector: str) -> None:
    with pytest.raises(GpuSelectionError, match="names no GPU") as caught:
        select_gpu(selector, ALL)
    assert "RTX PRO 6000" in caught.value.hint


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(GpuSelectionError) as caught:
        select_gpu("RTX PR0 6000 Blackwell", ALL)
    assert 'Nearest: "NVIDIA RTX PRO 6000 Blackwell"' in caught.value.hint


def test_one_gpu_named_twice_is_refused() -> None:
    with pytest.raises(GpuSelectionError, match="second time"):
        select_gpus(["0", "PRO 6000"], ALL)


def test_order_is_kept_and_no_selector_is_no_gpu() -> None:
    assert select_gpus(["2", "0"], ALL) == (SECOND, PRO)
    assert select_gpus([], ALL) == ()
    assert select_gpus([], ()) == ()


def test_without_any_gpu_the_cpu_is_offered() -> None:
    with pytest.raises(GpuSelectionError) as caught:
        select_gpu("5090", ())
    assert "gpus = []" in caught.value.hint


def test_bus_ids_are_shown_as_lspci_shows_them() -> None:
    assert [short_bus_id(gpu) for gpu in ALL] == ["01:00.0", "21:00.0", "00000001:21:00.0"]
