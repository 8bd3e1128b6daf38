"""The likeliest tokens by one launch: what torch finds, also where rows are broken; torch where it fails."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.engine.cuda.launches import Launches
from parfocal.engine.backends.cuda.sampling import CudaLikeliest, choose_likeliest
from parfocal.engine.backends.cuda.sampling.likeliest import AT_ONCE
from parfocal.engine.sampling import PlainLikeliest

ODD = [math.inf, -math.inf, math.nan, 9.0]


@settings(max_examples=25)
@given(
    rows=st.lists(
        st.lists(st.tuples(st.integers(0, 4 * AT_ONCE), st.sampled_from(ODD)), max_size=4),
        min_size=1,
        max_size=3,
    ),
    width=st.sampled_from([1, 5, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE + 7]),
    half=st.booleans(),
    empty=st.booleans(),
)
def test_it_finds_what_torch_finds(
    device: torch.device, rows: list[list[tuple[int, float]]], width: int, half: bool, empty: bool
) -> None:
    logits = torch.randn(len(rows), width, generator=torch.Generator().manual_seed(width))
    if empty:
        logits[0] = -math.inf
    for row, changes in enumerate(rows):
        for place, value in changes:
            logits[row, place % width] = value
    given = logits.to(device, torch.float16 if half else torch.float32)
    found = CudaLikeliest(lambda kernel, reason: None).of_all(given)

    assert found.tolist() == PlainLikeliest().of_all(given).tolist()


def test_it_takes_one_launch(device: torch.device) -> None:
    found = choose_likeliest(device, lambda kernel, reason: pytest.fail(f"{kernel}: {reason}"))
    logits = torch.randn(3, 50, device=device)
    with Launches() as launches:
        found.of_all(logits)

    assert launches.names == ["likeliest_kernel"]


class Unreadable(torch.Tensor):
    """Logits of which a kernel can make nothing."""

    def stride(self, *args: object) -> int:  # type: ignore[override]
        raise RuntimeError("an illegal memory access was encountered")


def test_once_the_kernel_fails_torch_finds_them_and_it_is_told_once(device: torch.device) -> None:
    told: list[str] = []
    likeliest = CudaLikeliest(lambda kernel, reason: told.append(kernel))
    logits = torch.tensor([[1.0, 3.0, 2.0]], device=device)
    for _ in range(2):
        assert likeliest.of_all(logits.as_subclass(Unreadable)).tolist() == [1]
    assert told == ["likeliest"]
