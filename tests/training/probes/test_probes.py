"""The packaged probes, and what they tell."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine import Completion, FinishReason, Timings, TokenLogprob
from parfocal.training.evaluation.asking import divergence
from parfocal.training.figures import RowScore, pair_figures, probe_figures
from parfocal.training.probes import general_texts, text_pairs


def test_every_slice_of_general_text_has_enough_to_say_something() -> None:
    counts = Counter(text.slice for text in general_texts())

    assert len(counts) >= 8
    assert min(counts.values()) >= 6
    assert len({text.text for text in general_texts()}) == len(general_texts())


def test_pairs_differ_only_in_how_they_go_on() -> None:
    assert {pair.kind for pair in text_pairs()} == {"stereotypes", "modern_facts"}
    for pair in text_pairs():
        assert pair.first != pair.second
        assert pair.first.startswith(" ") and pair.second.startswith(" ")


def test_forgetting_is_the_share_by_which_the_loss_on_general_text_rose() -> None:
    texts = general_texts()
    base = [RowScore([-2.0 - at / 100], [True]) for at in range(len(texts))]
    adapter = [RowScore([-2.5 - at / 90], [True]) for at in range(len(texts))]
    found = {
        (f.name, f.slice): f
        for f in probe_figures(texts, [base, adapter], [[0.0] * len(texts), [0.3] * len(texts)])
    }
    lost = found["forgetting", ""].estimate(1)

    assert lost.value == pytest.approx(sum(s.loss for s in adapter) / sum(s.loss for s in base) - 1)
    assert lost.interval is not None and 0 < lost.interval.low < lost.value < lost.interval.high
    assert found["kl_from_base", "german"].estimate(1).value == pytest.approx(0.3)
    assert found["forgetting", ""].estimate(0).value == 0


def test_an_adapter_that_learnt_clichés_is_told_so() -> None:
    pairs = text_pairs()
    even = [1.0 if at % 2 else -1.0 for at in range(len(pairs))]
    found = {each.name: each for each in pair_figures(pairs, [even, [1.0] * len(pairs)])}
    learnt, known = found["stereotypes"].improvements[1], found["modern_facts"].improvements[1]

    assert found["stereotypes"].estimate(1).value == 1
    assert learnt is not None and learnt.verdict() == "worse"
    assert known is not None and known.verdict() == "better"


def reply(*places: dict[int, float]) -> Completion:
    """A reply that names these probabilities at each place, the first of them the text's own token."""
    told = [None, *(_told(place) for place in places)]
    timings = Timings()
    return Completion(
        "r", "", (), FinishReason.LENGTH, "", (), len(told), 0, timings, None, prompt_logprobs=told
    )


def _told(place: dict[int, float]) -> TokenLogprob:
    top = tuple((token, math.log(chance)) for token, chance in place.items())
    return TokenLogprob(*top[0], top)


def test_the_divergence_of_whole_distributions_is_exact() -> None:
    mine, base = {1: 0.7, 2: 0.3}, {1: 0.5, 2: 0.5}
    exact = 0.7 * math.log(0.7 / 0.5) + 0.3 * math.log(0.3 / 0.5)

    assert divergence(reply(mine), reply(base)) == pytest.approx(exact)
    assert divergence(reply(base), reply(base)) == 0


@given(
    st.lists(st.floats(0.01, 1), min_size=6, max_size=6), st.lists(st.floats(0.01, 1), min_size=6, max_size=6)
)
def test_the_divergence_of_what_is_named_is_never_more_than_the_true_one(
    one: list[float], other: list[float]
) -> None:
    first, second = ([each / sum(weights) for each in weights] for weights in (one, other))
    exact = sum(p * math.log(p / q) for p, q in zip(first, second, strict=True))
    named = [
        reply(dict(sorted(enumerate(chances), key=lambda pair: -pair[1])[:3])) for chances in (first, second)
    ]

    assert -1e-9 <= divergence(*named) <= exact + 1e-9
