"""Tensors read in large pieces are the tensors that safetensors reads one by one."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from parfocal.engine.lora.tensor_file import NotFinite, opened, read_scaled

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def read(path: Path, scales: dict[str, float], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    with opened(path) as file:
        return read_scaled(path, file, scales, dtype)


@given(
    st.lists(st.tuples(st.sampled_from(DTYPES), st.integers(0, 700), st.integers(1, 900)), max_size=12),
    st.sampled_from(DTYPES),
    st.sampled_from([1.0, 0.5, 3.0]),
)
def test_types_sizes_and_scales_of_any_mix_are_read_right(
    tmp_path_factory: pytest.TempPathFactory,
    plan: list[tuple[torch.dtype, int, int]],
    dtype: torch.dtype,
    scale: float,
) -> None:
    path = tmp_path_factory.mktemp("tensors") / "some.safetensors"
    numbers = torch.Generator().manual_seed(len(plan))
    save_file(
        {f"t{n}": torch.randn(a, b, generator=numbers).to(kind) for n, (kind, a, b) in enumerate(plan)}, path
    )
    scales = {f"t{n}": scale for n in range(0, len(plan), 2)}
    found = read(path, scales, dtype)

    for name, tensor in load_file(path).items():
        factor = scales.get(name, 1.0)
        wide = tensor.to(torch.promote_types(tensor.dtype, torch.float32))
        assert torch.equal(found.pop(name), (wide * factor).to(dtype))
    assert not found


def test_numbers_whose_sum_is_too_large_for_their_type_are_finite_all_the_same(tmp_path: Path) -> None:
    save_file({"a": torch.full((100,), 6e4, dtype=torch.float16)}, tmp_path / "a")

    assert read(tmp_path / "a", {}, torch.float16)["a"].max() == 6e4


@pytest.mark.parametrize("pair", [("inf", "-inf"), ("nan", "1"), ("inf", "1")])
def test_numbers_that_are_not_finite_are_found_even_if_they_cancel(
    tmp_path: Path, pair: tuple[str, str]
) -> None:
    save_file({"a": torch.ones(3), "b": torch.tensor([[0.0, *map(float, pair)]])}, tmp_path / "a")

    with pytest.raises(NotFinite, match=rf"b\[0, 1\] is {pair[0]}"):
        read(tmp_path / "a", {}, torch.bfloat16)


def test_a_file_that_was_cut_after_it_was_opened_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save_file({"a": torch.ones(300)}, path)
    with opened(path) as file:
        (tmp_path / "cut").write_bytes(path.read_bytes()[:-10])
        with pytest.raises(OSError, match="10 bytes early"):
            read_scaled(tmp_path / "cut", file, {}, torch.float32)
