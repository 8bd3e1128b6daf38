"""What a draw is told of its prompt: the distinct tokens, found once, where a penalty reads them."""

import pytest

from parfocal.engine.request import Request, Sampling
from parfocal.engine.scheduling.plan import SamplingRow
from parfocal.engine.scheduling.sequence import Clock, Sequence, row_of

NO_ENDS: frozenset[int] = frozenset()


def sequence(sampling: Sampling) -> Sequence:
    request = Request("q", (7, 3, 7, 9, 3), None, sampling=sampling)
    return Sequence(request, max_tokens=4, draw_seed=0, clock=Clock(0.0))


def drawn(one: Sequence) -> SamplingRow:
    row = row_of(one, one.uncomputed, NO_ENDS).sampling
    assert row is not None
    return row


def test_repetition_penalties_are_told_a_prompts_distinct_tokens_from_one_list_for_all_steps() -> None:
    one = sequence(Sampling(repetition_penalty=1.2))

    first = drawn(one)
    one.computed, one.output_ids = 5, [4]
    second = drawn(one)

    assert list(first.prompt_ids) == [3, 7, 9]
    assert second.prompt_ids is first.prompt_ids
    assert list(second.output_ids) == [4]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(presence_penalty=1.0, frequency_penalty=0.5)])
def test_other_draws_are_told_nothing_of_the_prompt(sampling: Sampling) -> None:
    assert list(drawn(sequence(sampling)).prompt_ids) == []
