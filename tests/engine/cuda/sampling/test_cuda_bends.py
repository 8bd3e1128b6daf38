"""Rows' rules by one launch: torch's scores to the last bit, whoever is beside; torch where it fails."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.engine.constraints import Listed
from fakes.engine.cuda.launches import Launches
from fakes.engine.sampling_rows import DRAWN, PLAIN, VOCABULARY, ids, row
from parfocal.engine.backends.cuda.sampling import CudaBends, choose_bends, choose_draws, choose_likeliest
from parfocal.engine.backends.cuda.sampling.bends import AT_ONCE, CHANGES, bends_trial
from parfocal.engine.request import Sampling
from parfocal.engine.sampling import Bends, PlainBends, PlainLikeliest, Sampler
from parfocal.engine.scheduling import LogitBias, SamplingRow

PLAIN_BENDS = PlainBends(PlainLikeliest())


def never(kernel: str, reason: str) -> None:
    pytest.fail(f"{kernel}: {reason}")


def sampler_on(device: torch.device) -> Sampler:
    likeliest = choose_likeliest(device, never)
    bends = choose_bends(device, likeliest, never)
    return Sampler(likeliest=likeliest, draws=choose_draws(device, never), bends=bends)


def bent(
    bends: Bends,
    logits: torch.Tensor,
    places: Sequence[int],
    rows: Sequence[SamplingRow],
    allowed: Sequence[bytes | None],
) -> tuple[torch.Tensor, list[int]]:
    chosen = PlainLikeliest().of_all(logits)
    scores = bends.bend(logits, places, rows, allowed, chosen)
    return scores.cpu(), [int(token) for token in chosen.tolist()]


# Some lie outside the vocabulary, which changes nothing; some come again and again.
TOKENS = st.lists(st.one_of(st.integers(-2, 4 * AT_ONCE), st.integers(0, 8)), max_size=12).map(tuple)
BIASES = st.dictionaries(st.integers(0, 4 * AT_ONCE), st.floats(-100, 100, width=32), max_size=5)
ROWS = st.builds(
    row,
    st.builds(
        Sampling,
        repetition_penalty=st.sampled_from([0.4, 1.0, 1.3]),
        presence_penalty=st.sampled_from([-1.5, 0.0, 0.3]),
        frequency_penalty=st.sampled_from([0.0, 0.7]),
        logit_bias=BIASES,
    ),
    prompt_ids=TOKENS,
    output_ids=TOKENS,
    banned_ids=TOKENS,
)


def within(asked: SamplingRow, width: int) -> SamplingRow:
    """The same row, its bias within a vocabulary of so many: another one is refused before it gets here."""
    inside = {token % width: value for token, value in asked.sampling.logit_bias.items()}
    return replace(asked, bias=LogitBias.of(inside))


@settings(max_examples=60)
@given(
    drawn=st.lists(st.tuples(ROWS, st.sampled_from([None, 0x00, 0x5A, 0xFF])), min_size=1, max_size=4),
    width=st.sampled_from([1, 31, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE + 40]),
    kind=st.tuples(st.sampled_from([torch.float32, torch.bfloat16]), st.randoms(use_true_random=False)),
    odd=st.sampled_from([0.0, math.nan, math.inf, -math.inf]),
)
def test_it_bends_as_torch_does_to_the_last_bit_and_a_row_alone_as_beside_others(
    device: torch.device,
    drawn: list[tuple[SamplingRow, int | None]],
    width: int,
    kind: tuple[torch.dtype, random.Random],
    odd: float,
) -> None:
    dtype, source = kind
    few = len(drawn)
    logits = 3 * torch.randn(few + 2, width, generator=torch.Generator().manual_seed(source.randrange(999)))
    logits[0, width // 2] += odd
    there = logits.to(device, dtype)
    before = there.clone()
    places = source.sample(range(few + 2), few)
    rows = [within(asked, width) for asked, _ in drawn]
    allowed = [None if own is None else bytes([own]) * (4 * -(-width // 32)) for _, own in drawn]
    bends = CudaBends(PLAIN_BENDS, never)

    scores, chosen = bent(bends, there, places, rows, allowed)

    right, its = bent(PLAIN_BENDS, there, places, rows, allowed)
    # Of a broken row nothing is drawn: its scores say nothing.
    whole = [n for n, place in enumerate(places) if before[place].float().amax().isfinite()]
    assert torch.equal(scores[whole], right[whole])
    assert chosen == its
    assert torch.equal(there.nan_to_num(), before.nan_to_num())
    for n in whole:
        alone, token = bent(bends, there[places[n]][None], [0], [rows[n]], [allowed[n]])
        assert torch.equal(alone[0], scores[n])
        assert token == [chosen[places[n]]]


def test_more_rules_than_it_applies_at_once_change_every_token(device: torch.device) -> None:
    width = AT_ONCE + 5
    logits = torch.randn(1, width, generator=torch.Generator().manual_seed(1)).to(device)
    every = row(
        Sampling(repetition_penalty=1.7, frequency_penalty=0.1),
        prompt_ids=tuple(range(width)),
        output_ids=tuple(range(0, width, 2)),
        banned_ids=tuple(range(0, width, 3)),
    )
    assert width > 2 * CHANGES

    found = bent(CudaBends(PLAIN_BENDS, never), logits, [0], [every], [None])

    right = bent(PLAIN_BENDS, logits, [0], [every], [None])
    assert torch.equal(found[0], right[0]) and found[1] == right[1]
    assert not torch.equal(found[0], logits.cpu())


def test_bent_rows_draw_as_on_a_cpu_beside_others(device: torch.device) -> None:
    logits = 3 * torch.randn(48, VOCABULARY, generator=torch.Generator().manual_seed(5))
    kinds = [
        row(Sampling(temperature=1.0, repetition_penalty=1.3, top_p=0.9), output_ids=(1, 2, 2)),
        row(Sampling(logit_bias={4: 9.0}, presence_penalty=0.5), output_ids=(3,)),
        DRAWN,
        row(Sampling(temperature=0.7, top_k=4), banned_ids=(0, 5)),
        PLAIN,
        replace(DRAWN, constraint=Listed(((3,), (17,), (40,)), VOCABULARY).start()),
        replace(DRAWN, banned_ids=tuple(range(VOCABULARY))),
        row(Sampling(temperature=1.0, frequency_penalty=0.4), output_ids=(9, 9), top_logprobs=3),
    ]
    rows = [replace(kinds[n % len(kinds)], draw_seed=n, position=3) for n in range(len(logits))]
    logits[3, 7], logits[8, 1] = math.nan, math.inf

    found = sampler_on(device).sample(logits.to(device), rows)

    right = Sampler().sample(logits, rows)
    assert ids(found) == ids(right)
    assert [one.error for one in found] == [one.error for one in right]
    assert ids(right).count(-1) == 8


def test_rows_under_rules_take_three_launches_and_others_the_draw_that_they_always_took(
    device: torch.device,
) -> None:
    sampler = sampler_on(device)
    logits = torch.randn(4, VOCABULARY, device=device)
    every = Sampling(1.0, repetition_penalty=1.2, presence_penalty=0.1, logit_bias={3: 1.0})
    asked = row(every, output_ids=(1, 2), banned_ids=(4,))
    launched: list[str] = []

    with Launches() as launches:
        sampler.sample(logits, [asked, PLAIN, DRAWN, asked], lambda: launched.extend(launches.names))

    assert [name for name in launched if name.endswith("kernel")] == [
        "likeliest_kernel",
        *("bend_kernel", "likeliest_kernel", "draw_kernel"),
        "draw_kernel",
    ]
    # Where there is a card, what is known of the rows is copied there as well.
    assert set(launched) <= {
        *("likeliest_kernel", "bend_kernel", "draw_kernel"),
        *("_pin_memory", "_to_copy"),
    }


class Unreadable(torch.Tensor):
    """Logits of which a kernel can make nothing."""

    def stride(self, *args: object) -> int:  # type: ignore[override]
        raise RuntimeError("an illegal memory access was encountered")


def test_once_the_kernel_fails_torch_bends_and_it_is_told_once(device: torch.device) -> None:
    told: list[str] = []
    bends = CudaBends(PLAIN_BENDS, lambda kernel, reason: told.append(kernel))
    logits = torch.tensor([[1.0, 3.0, 2.0]], device=device).as_subclass(Unreadable)
    for _ in range(2):
        chosen = torch.ones(1, dtype=torch.int64, device=device)
        bends.bend(logits, [0], [replace(PLAIN, banned_ids=(1,))], [None], chosen)
        assert chosen.tolist() == [2]
    assert told == ["bends"]


class Off(CudaBends):
    """Bends one score by a little."""

    def bend(self, logits: torch.Tensor, *rest: Any) -> torch.Tensor:
        scores = super().bend(logits, *rest)
        scores[1, 7] += 1e-6
        return scores


def test_scores_that_differ_in_one_bit_are_found_out_at_start(device: torch.device) -> None:
    trial = bends_trial(device)
    right = trial.run(PLAIN_BENDS)

    assert torch.equal(trial.run(CudaBends(PLAIN_BENDS, never)), right)
    assert not torch.equal(trial.run(Off(PLAIN_BENDS, never)), right)
    assert trial.tolerance == 0.0
