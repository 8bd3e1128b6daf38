"""Draws by one launch: torch's token for the same number, to a millionth of the number; torch where it fails.

A number that falls between two tokens within rounding may draw either, here as on two devices of torch's.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.engine.cuda.launches import Launches
from fakes.engine.sampling_rows import PLAIN, row
from parfocal.engine.backends.cuda.sampling import CudaDraws, choose_draws, choose_likeliest
from parfocal.engine.backends.cuda.sampling.draws import AT_ONCE
from parfocal.engine.request import Sampling
from parfocal.engine.sampling import Draws, PlainDraws, PlainLikeliest, Sampler

WITHIN = 1e-6

SETTINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([1e-9, 0.3, 1.0, 1.8]),
    top_k=st.sampled_from([0, 1, 5, 40, 1500, 10_000]),
    top_p=st.sampled_from([0.05, 0.5, 0.9, 0.999, 1.0]),
    min_p=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
)
CHANCES = st.one_of(st.floats(2.0**-53, 1.0), st.sampled_from([2.0**-53, 1.0]))


def never(kernel: str, reason: str) -> None:
    pytest.fail(f"{kernel}: {reason}")


def drawn(
    draws: Draws,
    logits: torch.Tensor,
    samplings: Sequence[Sampling],
    chances: npt.NDArray[np.float64],
) -> list[int]:
    chosen = PlainLikeliest().of_all(logits)
    every = [(place, place) for place in range(len(logits))]
    draws.draw(logits, every, samplings, chances, chosen)
    return [int(token) for token in chosen.tolist()]


@settings(max_examples=40)
@given(
    rows=st.lists(st.tuples(SETTINGS, CHANCES), min_size=1, max_size=3),
    width=st.sampled_from([1, 5, 300, AT_ONCE + 1]),
    drawn_from=st.tuples(st.sampled_from([0.3, 1.0, 4.0]), st.integers(0, 1000)),
    kind=st.tuples(st.sampled_from([torch.float32, torch.bfloat16]), st.booleans()),
)
def test_it_draws_what_torch_draws(
    device: torch.device,
    rows: list[tuple[Sampling, float]],
    width: int,
    drawn_from: tuple[float, int],
    kind: tuple[torch.dtype, bool],
) -> None:
    (spread, seed), (dtype, has_gaps) = drawn_from, kind
    logits = spread * torch.randn(len(rows), width, generator=torch.Generator().manual_seed(seed))
    if has_gaps:
        logits[:, 1::2] = -math.inf
    there = logits.to(device, dtype)
    samplings, chances = [one for one, _ in rows], np.array([chance for _, chance in rows])

    found = drawn(CudaDraws(never), there, samplings, chances)

    plain = PlainDraws()
    first = drawn(plain, there, samplings, np.maximum(chances - WITHIN, 2.0**-53))
    last = drawn(plain, there, samplings, np.minimum(chances + WITHIN, 1.0))
    assert all(low <= token <= high for low, token, high in zip(first, found, last, strict=True))
    assert there[range(len(rows)), found].isfinite().all()


def test_with_few_tokens_it_draws_the_very_same(device: torch.device) -> None:
    logits = torch.randn(64, 40, generator=torch.Generator().manual_seed(3)).to(device)
    limits = [Sampling(), Sampling(top_k=3), Sampling(top_p=0.8), Sampling(min_p=0.2, top_p=0.7, top_k=9)]
    asked = [row(limits[n % 4], draw_seed=n, position=5) for n in range(64)]

    found = Sampler(likeliest=choose_likeliest(device, never), draws=choose_draws(device, never))

    assert found.sample(logits, asked) == Sampler().sample(logits, asked)


@pytest.mark.parametrize("limits", [{"top_k": 2}, {"top_p": 0.5}])
def test_tokens_that_tie_with_the_last_one_kept_are_drawn(
    device: torch.device, limits: dict[str, float]
) -> None:
    logits = torch.tensor([[1.0, 0.0, 3.0, 2.0, 2.0, 2.0]]).to(device)
    asked = Sampling(temperature=1.0, **limits)  # type: ignore[arg-type]

    found = {drawn(CudaDraws(never), logits, [asked], np.array([at]))[0] for at in (0.2, 0.6, 0.8, 0.99)}

    assert found == {2, 3, 4, 5}


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_broken_row_has_no_token_and_harms_no_other(device: torch.device, odd: float) -> None:
    logits = torch.zeros(3, 9, device=device)
    logits[1] = odd
    many = [Sampling(temperature=1.0, top_p=0.9)] * 3

    assert drawn(CudaDraws(never), logits, many, np.array([0.05, 0.5, 1.0])) == [0, -1, 8]


def test_rows_that_do_not_draw_keep_their_token_and_logits_stay(device: torch.device) -> None:
    logits = torch.zeros(2, 9, device=device)
    chosen = torch.tensor([4, 0, 7], device=device)

    CudaDraws(never).draw(logits, [(0, 1)], [Sampling(temperature=1.0)], np.array([1.0]), chosen)

    assert chosen.tolist() == [4, 8, 7]
    assert not logits.any()


@pytest.mark.parametrize(
    "limits", [{}, {"top_k": 5}, {"top_p": 0.9}, {"min_p": 0.1, "top_k": 9, "top_p": 0.5}]
)
def test_rows_that_draw_take_one_launch_besides_the_likeliest(
    device: torch.device, limits: dict[str, float]
) -> None:
    sampler = Sampler(likeliest=choose_likeliest(device, never), draws=choose_draws(device, never))
    logits = torch.randn(3, 50, device=device)
    asked = row(Sampling(temperature=1.0, **limits))  # type: ignore[arg-type]
    launched: list[str] = []

    with Launches() as launches:
        sampler.sample(logits, [asked, PLAIN, asked], lambda: launched.extend(launches.names))

    assert [name for name in launched if name.endswith("kernel")] == ["likeliest_kernel", "draw_kernel"]
    # Where there is a card, the settings are copied there as well.
    assert set(launched) <= {"likeliest_kernel", "draw_kernel", "_pin_memory", "_to_copy"}


class Unreadable(torch.Tensor):
    """Logits of which a kernel can make nothing."""

    def stride(self, *args: object) -> int:  # type: ignore[override]
        raise RuntimeError("an illegal memory access was encountered")


def test_once_the_kernel_fails_torch_draws_and_it_is_told_once(device: torch.device) -> None:
    told: list[str] = []
    draws = CudaDraws(lambda kernel, reason: told.append(kernel))
    logits = torch.zeros(1, 4, device=device).as_subclass(Unreadable)
    for _ in range(2):
        chosen = torch.zeros(1, dtype=torch.int64, device=device)
        draws.draw(logits, [(0, 0)], [Sampling(temperature=1.0)], np.array([0.6]), chosen)
        assert chosen.tolist() == [2]
    assert told == ["draws"]
