"""A row with a constraint draws only what that allows; the rows beside it do not notice."""

import dataclasses
from collections.abc import Callable

import pytest
import torch

from fakes.engine.constraints import Listed, ListedState, packed
from fakes.engine.sampling_rows import DRAWN, LIMITED, PLAIN, VOCABULARY, ids, random_logits, row
from parfocal.engine.request import Sampling
from parfocal.engine.sampling.allowed_tokens import AllowedIds, keep_allowed, without
from parfocal.engine.sampling.sampler import Sampler
from parfocal.engine.scheduling.plan import SamplingRow

FEW = (3, 17, 31, 32, 49)


def state(*tokens: int) -> ListedState:
    return Listed(tuple((one,) for one in tokens), VOCABULARY).start()


def held(asked: SamplingRow, *tokens: int) -> SamplingRow:
    return dataclasses.replace(asked, constraint=state(*tokens))


@pytest.mark.parametrize(
    "asked", [PLAIN, DRAWN, LIMITED, row(Sampling(repetition_penalty=1.3), output_ids=(3,))]
)
def test_only_allowed_tokens_are_drawn(asked: SamplingRow) -> None:
    logits = random_logits(50)
    rows = [dataclasses.replace(held(asked, *FEW), draw_seed=seed) for seed in range(50)]

    assert set(ids(Sampler().sample(logits, rows))) <= set(FEW)


def test_without_temperature_the_likeliest_allowed_token_is_taken() -> None:
    logits = random_logits(8)

    expected = [FEW[int(each[list(FEW)].argmax())] for each in logits]
    assert ids(Sampler().sample(logits, [held(PLAIN, *FEW)] * 8)) == expected


def test_a_bias_chooses_among_the_allowed_tokens_and_allows_no_other() -> None:
    logits = random_logits(8)
    towards = held(row(Sampling(logit_bias={31: 100.0})), *FEW)
    elsewhere = held(row(Sampling(logit_bias={5: 100.0})), *FEW)

    assert ids(Sampler().sample(logits, [towards] * 8)) == [31] * 8
    expected = [FEW[int(each[list(FEW)].argmax())] for each in logits]
    assert ids(Sampler().sample(logits, [elsewhere] * 8)) == expected


class Asked(ListedState):
    """Counts how often it was asked for all that is allowed."""

    times = 0

    def allowed(self) -> bytes:
        self.times += 1
        return super().allowed()


def test_a_greedy_row_that_may_draw_the_likeliest_token_looks_no_further() -> None:
    logits = random_logits(1)
    best = int(logits.argmax())
    likeliest, another = (Asked(state(one).constraint) for one in (best, (best + 1) % VOCABULARY))

    drawn = [
        ids(Sampler().sample(logits, [dataclasses.replace(PLAIN, constraint=each)]))
        for each in (likeliest, another)
    ]

    assert drawn == [[best], [(best + 1) % VOCABULARY]]
    assert (likeliest.times, another.times) == (0, 1)


@pytest.mark.parametrize("banned", [(), (3, 32), (-1, 10**6)])
def test_every_way_to_find_the_likeliest_allowed_token_finds_the_same(banned: tuple[int, ...]) -> None:
    logits = random_logits(40)
    rows = [dataclasses.replace(held(PLAIN, *FEW), banned_ids=banned)] * 40
    # The other way is that for rows whose earlier tokens count, too; here there are none.
    penalised = [dataclasses.replace(one, sampling=Sampling(presence_penalty=1.0)) for one in rows]

    assert ids(Sampler().sample(logits, rows)) == ids(Sampler().sample(logits, penalised))
    assert ids(Sampler().sample(logits, rows)) == ids(Sampler().sample(logits.double(), rows))


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0),
        Sampling(temperature=2.0, top_k=3),
        Sampling(temperature=1.5, top_p=0.7),
        Sampling(temperature=1.0, min_p=0.3),
    ],
)
@pytest.mark.parametrize("few", [FEW, (7,), tuple(range(VOCABULARY))])
def test_a_draw_among_the_allowed_tokens_alone_is_that_from_the_whole_vocabulary(
    sampling: Sampling, few: tuple[int, ...]
) -> None:
    logits = random_logits(200)
    asked = held(row(sampling), *few)
    rows = [dataclasses.replace(asked, draw_seed=seed, banned_ids=(3, -1, 10**6)) for seed in range(200)]

    # Logits of another type, as of another device, are drawn from whole.
    assert ids(Sampler().sample(logits, rows)) == ids(Sampler().sample(logits.double(), rows))


def test_what_the_model_wants_most_is_drawn_by_its_own_share_among_what_is_allowed() -> None:
    logits = torch.full((400, VOCABULARY), 5.0)
    logits[:, 3], logits[:, 17] = 1.0, 0.0
    rows = [dataclasses.replace(held(DRAWN, 3, 17), draw_seed=seed) for seed in range(400)]

    share = ids(Sampler().sample(logits, rows)).count(3) / 400
    assert share == pytest.approx(torch.tensor([1.0, 0.0]).softmax(0)[0].item(), abs=0.08)


@pytest.mark.parametrize("asked", [PLAIN, DRAWN, LIMITED])
@pytest.mark.parametrize("row_by_row", [False, True])
def test_the_rows_beside_a_constraint_are_drawn_as_without_it(asked: SamplingRow, row_by_row: bool) -> None:
    logits = random_logits(4)
    sampler = Sampler(row_by_row=row_by_row)
    free = sampler.sample(logits, [asked] * 4)

    mixed = sampler.sample(logits, [asked, held(asked, *FEW), asked, held(asked, 1)])

    assert [mixed[0], mixed[2]] == [free[0], free[2]]
    assert mixed[3].token_id == 1


def test_a_constraint_that_allows_everything_changes_nothing() -> None:
    logits = random_logits(3)
    every = range(VOCABULARY)

    for asked in (PLAIN, DRAWN, LIMITED):
        assert Sampler().sample(logits, [held(asked, *every)] * 3) == Sampler().sample(logits, [asked] * 3)


def test_log_probabilities_are_the_models_own() -> None:
    logits = random_logits(1)
    asked = dataclasses.replace(held(PLAIN, 7), logprobs=True, top_logprobs=3)

    token = Sampler().sample(logits, [asked])[0]

    own = logits[0].log_softmax(-1)
    assert token.logprob is not None
    assert token.logprob.token_id == 7
    assert token.logprob.logprob == pytest.approx(own[7].item(), abs=1e-6)
    assert token.logprob.top[0][0] == int(own.argmax())


def test_the_logits_are_left_as_they_were() -> None:
    logits = random_logits(2)
    before = logits.clone()

    Sampler().sample(logits, [held(PLAIN, 1), held(DRAWN, 2)])

    assert torch.equal(logits, before)


def test_a_row_whose_constraint_fails_ends_alone_and_says_why() -> None:
    logits = random_logits(3)

    tokens = Sampler().sample(logits, [PLAIN, held(DRAWN), PLAIN])

    assert tokens[1].token_id == -1
    assert tokens[1].refusal is not None
    assert tokens[1].error == str(tokens[1].refusal) == "nothing may follow"
    assert [tokens[0], tokens[2]] == [Sampler().sample(logits, [PLAIN] * 3)[i] for i in (0, 2)]


@pytest.mark.parametrize("asked", [PLAIN, DRAWN])
def test_a_row_whose_allowed_tokens_are_all_banned_is_refused(asked: SamplingRow) -> None:
    banned = dataclasses.replace(held(asked, 4, 5), banned_ids=(4, 5))

    token = Sampler().sample(random_logits(1), [banned])[0]

    assert token.refusal is not None
    assert "banned" in token.error


@pytest.mark.parametrize("asked", [PLAIN, DRAWN])
@pytest.mark.parametrize(("broken", "told"), [(torch.nan, "NaN"), (torch.inf, "+inf")])
def test_broken_logits_are_the_models_fault_also_under_a_constraint(
    asked: SamplingRow, broken: float, told: str
) -> None:
    logits = random_logits(1)
    logits[0, 40] = broken

    token = Sampler().sample(logits, [held(asked, 1)])[0]

    assert token.refusal is None
    assert token.error.startswith(f"1 of 50 logits are {told}")


def test_a_list_that_was_kept_is_right_for_another_vocabulary() -> None:
    lists, bits = AllowedIds(), packed(FEW, VOCABULARY)

    for _ in range(2):
        assert lists.of(bits, VOCABULARY).tolist() == list(FEW)
        assert lists.of(bits, 32).tolist() == [3, 17, 31]


def test_more_sets_than_are_kept_and_longer_ones_are_listed_as_well() -> None:
    lists, vocabulary = AllowedIds(), 600

    for one in [*range(vocabulary)] * 2:
        assert lists.of(packed((one,), vocabulary), vocabulary).tolist() == [one]
    every = range(vocabulary)
    assert lists.of(packed(every, vocabulary), vocabulary).tolist() == [*every]


def test_banned_tokens_lose_their_bits_wherever_they_lie() -> None:
    bits = packed(FEW, VOCABULARY)

    assert without((), bits) is bits
    assert without((2, -1, 64, 10**6), bits) is bits
    assert without((17, 2, 49, 49, -1, 10**6), bits) == packed((3, 31, 32), VOCABULARY)


@pytest.mark.parametrize("vocabulary", [1, 31, 32, 33, 200])
@pytest.mark.parametrize("convert", [torch.Tensor.float, torch.Tensor.double], ids=["numpy", "torch"])
def test_both_ways_to_keep_tokens_keep_the_same(
    vocabulary: int, convert: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    scores = convert(random_logits(3, vocabulary))
    before = scores.clone()
    bits = [bytes([0b10110101, 0, 255, 7] * -(-vocabulary // 32)), None, bytes(-(-vocabulary // 32) * 4)]

    keep_allowed(scores, bits)

    kept = [place for place in range(vocabulary) if bits[0][place // 8] >> place % 8 & 1]  # type: ignore[index]
    assert (scores[0] > -torch.inf).nonzero().flatten().tolist() == kept
    assert torch.equal(scores[0][kept], before[0][kept])
    assert torch.equal(scores[1], before[1])
    assert scores[2].eq(-torch.inf).all()
