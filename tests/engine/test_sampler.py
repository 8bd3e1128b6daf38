"""Sampling equals transformers' processors and an exact draw, row by row, whatever shares the batch."""

import dataclasses
from collections.abc import Sequence

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

from parfocal.engine.logit_rules import lowest_kept
from parfocal.engine.philox import uniforms
from parfocal.engine.request import Sampling
from parfocal.engine.sampler import Sampler
from parfocal.engine.sampling_row import SampledToken, SamplingRow

VOCABULARY = 50
PLAIN = SamplingRow(Sampling(), 0, (), (), (), logprobs=False, top_logprobs=0, draw_seed=0)
DRAWN = dataclasses.replace(PLAIN, sampling=Sampling(temperature=1.0))
LIMITED = dataclasses.replace(PLAIN, sampling=Sampling(temperature=1.0, top_k=5, top_p=0.5, min_p=0.1))


def row(sampling: Sampling, **changes: object) -> SamplingRow:
    return dataclasses.replace(PLAIN, sampling=sampling, **changes)  # type: ignore[arg-type]


def random_logits(rows: int, vocabulary: int = VOCABULARY, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed))


def ids(tokens: Sequence[SampledToken]) -> list[int]:
    return [token.token_id for token in tokens]


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


def test_without_temperature_the_likeliest_token_is_taken() -> None:
    logits = random_logits(6)

    assert ids(Sampler().sample(logits, [PLAIN] * 6)) == logits.argmax(-1).tolist()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_type_is_taken(dtype: torch.dtype) -> None:
    logits = random_logits(2).to(dtype)

    tokens = Sampler().sample(logits, [PLAIN, dataclasses.replace(DRAWN, logprobs=True)])

    assert tokens[0].token_id == int(logits[0].argmax())
    assert tokens[1].logprob is not None


def test_the_logits_are_left_unchanged() -> None:
    logits = random_logits(2)
    before = logits.clone()

    Sampler().sample(logits, [row(Sampling(temperature=0.5, top_k=3), banned_ids=(1,)), DRAWN])

    assert torch.equal(logits, before)


def test_no_rows_give_no_tokens() -> None:
    assert Sampler().sample(torch.empty(0, VOCABULARY), []) == []


def test_the_least_temperatures_draw_the_likeliest_token() -> None:
    logits = 1e4 * random_logits(4)
    rows = [row(Sampling(temperature=t), draw_seed=9) for t in (1e-5, 1e-4, 1e-30, 1e-45)]

    assert ids(Sampler().sample(logits, rows)) == logits.argmax(-1).tolist()


def test_presence_and_frequency_count_generated_tokens_only() -> None:
    logits = torch.tensor([[5.0, 4.5, 4.0, 0.0]])
    asked = Sampling(presence_penalty=0.2, frequency_penalty=0.4)

    # 5.0 - 2 x 0.4 - 0.2 = 4.0 is below 4.5, which the prompt alone has seen.
    assert ids(Sampler().sample(logits, [row(asked, prompt_ids=(1, 1, 1), output_ids=(0, 0))])) == [1]
    # 5.0 - 1 x 0.4 - 0.2 = 4.4 is still below, with one of the two it is above.
    assert ids(Sampler().sample(logits, [row(asked, output_ids=(0,))])) == [1]
    assert ids(Sampler().sample(logits, [row(Sampling(frequency_penalty=0.4), output_ids=(0,))])) == [0]
    assert ids(Sampler().sample(logits, [row(Sampling(presence_penalty=0.2), output_ids=(0, 0, 0))])) == [0]


def test_repetition_comes_before_frequency_and_presence() -> None:
    logits = torch.tensor([[4.0, 1.6, 0.0]])
    asked = Sampling(repetition_penalty=2.0, presence_penalty=0.5)

    # 4.0 / 2 - 0.5 = 1.5 < 1.6; the other order would give (4.0 - 0.5) / 2 = 1.75.
    assert ids(Sampler().sample(logits, [row(asked, output_ids=(0,))])) == [1]


def test_banned_tokens_are_never_chosen() -> None:
    logits = torch.tensor([[9.0, 8.0, 1.0]]).repeat(40, 1)
    asked = [row(Sampling(temperature=t), banned_ids=(0, 1)) for t in (0.0, 5.0)]
    rows = [dataclasses.replace(one, draw_seed=seed) for one in asked for seed in range(20)]

    assert set(ids(Sampler().sample(logits, rows))) == {2}


def test_ids_outside_the_vocabulary_change_nothing() -> None:
    logits = random_logits(1)
    asked = Sampling(repetition_penalty=1.5, frequency_penalty=1.0)
    strange = row(asked, prompt_ids=(VOCABULARY,), output_ids=(-1, 10**6), banned_ids=(-1, VOCABULARY, 10**6))

    assert Sampler().sample(logits, [strange]) == Sampler().sample(logits, [PLAIN])


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("asked", [PLAIN, DRAWN, LIMITED])
def test_a_broken_row_fails_alone(broken: float, asked: SamplingRow) -> None:
    logits = random_logits(3)
    rows = [dataclasses.replace(asked, logprobs=True)] * 3
    whole = Sampler().sample(logits, rows)
    logits[1, 7] = broken

    tokens = Sampler().sample(logits, rows)

    assert tokens[1].token_id == -1
    assert tokens[1].logprob is None
    assert tokens[1].error.startswith("1 of 50 logits are ")
    assert [tokens[0], tokens[2]] == [whole[0], whole[2]]


@pytest.mark.parametrize("asked", [PLAIN, DRAWN])
def test_a_row_with_nothing_left_to_draw_fails_alone(asked: SamplingRow) -> None:
    logits = random_logits(2)
    everything = dataclasses.replace(asked, banned_ids=tuple(range(VOCABULARY)))

    tokens = Sampler().sample(logits, [everything, asked])

    assert tokens[0].token_id == -1
    assert "-inf" in tokens[0].error
    assert tokens[1].error == ""


def test_masked_logits_are_no_fault() -> None:
    logits = random_logits(2)
    logits[:, 10:] = -torch.inf

    tokens = Sampler().sample(logits, [PLAIN, row(Sampling(temperature=9.0, top_k=30, top_p=0.99))])

    assert all(0 <= token.token_id < 10 for token in tokens)


def test_logprobs_are_of_the_raw_distribution() -> None:
    logits = random_logits(1)
    changed = Sampling(temperature=0.4, repetition_penalty=1.8)
    asked = row(changed, output_ids=(3, 4), banned_ids=(5,), top_logprobs=4)

    [token] = Sampler().sample(logits, [asked])

    expected = logits[0].log_softmax(-1)
    assert token.logprob is not None
    assert token.logprob.token_id == token.token_id
    assert token.logprob.logprob == pytest.approx(float(expected[token.token_id]))
    values, places = expected.topk(4)
    assert [one for one, _ in token.logprob.top] == places.tolist()
    assert [value for _, value in token.logprob.top] == pytest.approx(values.tolist())


def test_only_rows_that_ask_get_logprobs_and_as_many_as_they_ask() -> None:
    widths = [(False, 0), (True, 0), (True, 2), (False, 5), (True, 10 * VOCABULARY)]
    rows = [dataclasses.replace(PLAIN, logprobs=asked, top_logprobs=top) for asked, top in widths]

    tokens = Sampler().sample(random_logits(5), rows)

    widths_given = [None if one.logprob is None else len(one.logprob.top) for one in tokens]
    assert widths_given == [None, 0, 2, 5, VOCABULARY]


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
