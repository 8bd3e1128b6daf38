"""Tokens are chosen as asked: penalties, bans, log-probabilities, and rows that fail alone."""

import dataclasses

import pytest
import torch

from fakes.engine.sampling_rows import DRAWN, LIMITED, PLAIN, VOCABULARY, ids, random_logits, row
from parfocal.engine.request import Sampling
from parfocal.engine.sampling.sampler import Sampler
from parfocal.engine.scheduling.plan import SamplingRow


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
    logits = 1e4 * random_logits(6)
    coldest = (1e-5, 1e-4, 1e-30, 1e-45, 1e-46, 5e-324)
    for top_k in (0, 5):
        rows = [row(Sampling(temperature=t, top_k=top_k), draw_seed=9) for t in coldest]

        assert ids(Sampler().sample(logits, rows)) == logits.argmax(-1).tolist()


def test_a_bias_changes_what_is_likeliest() -> None:
    logits = torch.tensor([[5.0, 4.5, 4.0, 0.0]]).repeat(3, 1)
    rows = [row(Sampling(logit_bias=bias)) for bias in ({}, {1: 0.75}, {0: -2.0, 1: -1.0})]

    assert ids(Sampler().sample(logits, rows)) == [0, 1, 2]


def test_a_bias_of_minus_100_bans_and_of_100_forces() -> None:
    logits = random_logits(40)
    rows = [
        row(Sampling(temperature=1.0, logit_bias={seed % VOCABULARY: 100.0}), draw_seed=seed)
        for seed in range(40)
    ]
    banned = dict.fromkeys(range(VOCABULARY - 1), -100.0)
    others = [row(Sampling(temperature=1.0, logit_bias=banned), draw_seed=seed) for seed in range(40)]

    assert ids(Sampler().sample(logits, rows)) == [seed % VOCABULARY for seed in range(40)]
    assert set(ids(Sampler().sample(logits, others))) == {VOCABULARY - 1}


def test_a_bias_comes_before_penalties() -> None:
    logits = torch.tensor([[4.0, 1.2, 0.0]])
    asked = Sampling(repetition_penalty=2.0, logit_bias={0: -1.0})

    # (4.0 - 1.0) / 2 = 1.5 > 1.2; the other order would give 4.0 / 2 - 1.0 = 1.0.
    assert ids(Sampler().sample(logits, [row(asked, output_ids=(0,))])) == [0]


def test_log_probabilities_do_not_know_the_bias() -> None:
    logits = random_logits(1)
    asked = row(Sampling(logit_bias={3: 100.0}), logprobs=True)
    (token,) = Sampler().sample(logits, [asked])

    assert token.logprob is not None
    assert token.token_id == 3
    assert token.logprob.logprob == pytest.approx(float(logits.log_softmax(-1)[0, 3]))


def test_a_rows_bias_is_its_own() -> None:
    logits = random_logits(5)
    rows = [PLAIN, row(Sampling(logit_bias={7: 100.0})), DRAWN, row(Sampling(logit_bias={9: 100.0})), PLAIN]
    without = [PLAIN, PLAIN, DRAWN, PLAIN, PLAIN]
    found, plain = (ids(Sampler().sample(logits, each)) for each in (rows, without))

    assert found == [plain[0], 7, plain[2], 9, plain[4]]


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


def test_row_by_row_a_row_gets_the_same_bits_beside_any_others() -> None:
    vocabulary = 40_001  # so that rows begin at odd places, and one row is enough to be cut among threads
    asked = Sampling(temperature=0.7, top_k=30_000, top_p=0.8, min_p=1e-6, repetition_penalty=1.2)
    rows = [row(asked, draw_seed=seed, prompt_ids=(seed,), top_logprobs=seed % 3) for seed in range(5)]
    rows[1:1] = [PLAIN, dataclasses.replace(PLAIN, logprobs=True)]
    logits = random_logits(len(rows), vocabulary)
    sampler = Sampler(row_by_row=True)

    together = sampler.sample(logits, rows)

    alone = [sampler.sample(part.clone()[None], [one])[0] for part, one in zip(logits, rows, strict=True)]
    assert together == alone
    assert ids(together) == ids(Sampler().sample(logits, rows))
