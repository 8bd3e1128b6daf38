"""Log-probabilities of given tokens are those of the whole distribution; broken logits have none."""

import pytest
import torch

from fakes.engine.sampling_rows import VOCABULARY, random_logits
from parfocal.engine.sampling import score


def test_scores_are_log_probabilities_and_the_likeliest_come_first() -> None:
    logits = random_logits(6)
    targets = torch.tensor([3, 1, 4, 1, 5, 9])
    right = logits.log_softmax(-1)
    found = score(logits.clone(), targets, 4)

    torch.testing.assert_close(found.chosen, right.gather(1, targets[:, None]).squeeze(1))
    torch.testing.assert_close(found.top, right.topk(4).values)
    assert found.ids.tolist() == right.topk(4).indices.tolist()


def test_no_likeliest_are_given_where_none_are_wanted() -> None:
    found = score(random_logits(2), torch.tensor([0, 1]), 0)

    assert found.top.shape == found.ids.shape == (2, 0)
    assert found.chosen.isfinite().all()


def test_huge_logits_do_not_overflow_and_impossible_tokens_have_minus_infinity() -> None:
    logits = torch.tensor([[3e38, -3e38, -torch.inf], [-1e30, -1e30, -torch.inf]])
    found = score(logits, torch.tensor([0, 2]), 1)

    assert found.chosen.tolist() == [0.0, -torch.inf]


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_broken_logits_score_nothing(broken: float) -> None:
    logits = random_logits(2)
    logits[1, 7] = broken
    found = score(logits, torch.tensor([3, 3]), 2)

    assert found.chosen.isnan().tolist() == [False, True]


def test_nothing_possible_scores_nothing() -> None:
    assert score(torch.full((1, VOCABULARY), -torch.inf), torch.tensor([0]), 0).chosen.isnan().all()
