"""A draw equals transformers' processors and an exact draw, row by row, whatever shares the batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from fakes.engine.sampling_rows import PLAIN, VOCABULARY, ids, random_logits, row
from parfocal.engine.request import Sampling
from parfocal.engine.sampling.logit_rules import lowest_kept
from parfocal.engine.sampling.philox import uniforms
from parfocal.engine.sampling.sampler import Sampler
from parfocal.engine.scheduling.plan import SamplingRow


def transformers_scores(logits: torch.Tensor, one: SamplingRow) -> torch.Tensor:
    """What transformers makes of one row of logits ([vocabulary])."""
    scores, sampling = logits[None].float(), one.sampling
    seen = torch.LongTensor([[*one.prompt_ids, *one.output_ids]])
    if sampling.repetition_penalty != 1.0:
        scores = RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)(seen, scores)
    scores = TemperatureLogitsWarper(sampling.temperature)(seen, scores)
    if sampling.top_k:
        scores = TopKLogitsWarper(sampling.top_k)(seen, scores)
    if sampling.top_p < 1.0:
        scores = TopPLogitsWarper(sampling.top_p)(seen, scores)
    if sampling.min_p:
        scores = MinPLogitsWarper(sampling.min_p)(seen, scores)
    return scores[0]


def drawn_by_transformers(logits: torch.Tensor, one: SamplingRow) -> int:
    sums = transformers_scores(logits, one).double().softmax(-1).cumsum(-1)
    return int(torch.searchsorted(sums, float(uniforms([one.draw_seed], [one.position])[0])))


SETTINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([0.3, 0.7, 1.0, 1.8]),
    top_k=st.sampled_from([0, 1, 5, 20, VOCABULARY, 1000]),
    top_p=st.sampled_from([0.05, 0.5, 0.9, 1.0]),
    min_p=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    repetition_penalty=st.sampled_from([0.8, 1.0, 1.3]),
)

TOKENS = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=12).map(tuple)
ROWS = st.builds(
    SamplingRow,
    sampling=SETTINGS,
    position=st.integers(0, 2000),
    prompt_ids=TOKENS,
    output_ids=TOKENS,
    banned_ids=st.just(()),
    logprobs=st.booleans(),
    top_logprobs=st.integers(0, 3),
    draw_seed=st.integers(0, 2**64 - 1),
)
ANY_ROW = st.one_of(
    ROWS,
    st.just(PLAIN),
    st.builds(
        row,
        st.builds(
            Sampling,
            temperature=st.sampled_from([0.0, 0.9]),
            presence_penalty=st.sampled_from([0.0, 0.5]),
            frequency_penalty=st.sampled_from([0.0, -0.4]),
        ),
        output_ids=TOKENS,
        banned_ids=TOKENS,
        draw_seed=st.integers(-5, 5),
    ),
)


@settings(max_examples=200)
@given(st.lists(ROWS, min_size=1, max_size=8), st.integers(0, 10_000))
def test_a_batch_draws_what_transformers_processors_allow_row_by_row(
    rows: list[SamplingRow], seed: int
) -> None:
    logits = random_logits(len(rows), seed=seed)

    drawn = ids(Sampler().sample(logits, rows))

    assert drawn == [drawn_by_transformers(one, asked) for one, asked in zip(logits, rows, strict=True)]


@given(st.data(), st.lists(ANY_ROW, min_size=1, max_size=10))
def test_a_rows_token_does_not_depend_on_what_shares_the_batch(
    data: st.DataObject, rows: list[SamplingRow]
) -> None:
    logits = random_logits(len(rows), vocabulary=1500)
    order = data.draw(st.permutations(range(len(rows))))

    together = Sampler().sample(logits[order], [rows[i] for i in order])

    alone = [Sampler().sample(logits[i : i + 1], [rows[i]])[0] for i in order]
    assert together == alone


@pytest.mark.parametrize("limits", [{"top_p": 0.9}, {"top_p": 0.999}, {"top_p": 0.9, "top_k": 2500}])
def test_a_nucleus_wider_than_the_candidates_is_exact(limits: dict[str, float]) -> None:
    logits = random_logits(3, vocabulary=4096) / 6
    asked = row(Sampling(temperature=1.0, **limits))  # type: ignore[arg-type]

    floors = lowest_kept(logits.exp(), [asked.sampling] * 3)

    kept = torch.stack([transformers_scores(one, asked).isfinite() for one in logits])
    assert kept.sum(-1).gt(1024).all()
    assert torch.equal(logits.exp() >= floors[:, None], kept)


def test_tokens_that_tie_with_the_last_one_kept_are_kept() -> None:
    weights = torch.tensor([[8.0, 4.0, 4.0, 4.0, 1.0]])

    for limits in (Sampling(top_k=2), Sampling(top_p=0.6)):
        assert lowest_kept(weights, [limits]).tolist() == [4.0]


@pytest.mark.parametrize("axis", ["seeds", "positions"])
def test_draws_follow_the_distribution(axis: str) -> None:
    draws, temperature = 40_000, 1.3
    logits = torch.tensor([2.0, 1.5, 1.0, 0.0, -0.5, -1.0, -3.0, -2.0])
    rows = [
        row(
            Sampling(temperature=temperature),
            draw_seed=n if axis == "seeds" else 7,
            position=0 if axis == "seeds" else n,
        )
        for n in range(draws)
    ]

    drawn = ids(Sampler().sample(logits.expand(draws, -1), rows))

    expected = draws * (logits / temperature).softmax(-1)
    counts = torch.bincount(torch.tensor(drawn), minlength=len(logits))
    assert float(((counts - expected) ** 2 / expected).sum()) < 35  # 7 degrees of freedom, p = 1e-5
