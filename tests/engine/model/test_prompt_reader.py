"""Prompts are read in slices of bounded size, row by row, and a broken one ends in an error alone."""

from collections.abc import Sequence

import pytest
import torch

from parfocal.engine import Pooling
from parfocal.engine.model import PromptReader
from parfocal.engine.scheduling import LaidRow, Reading

VOCABULARY, HIDDEN = 11, 4


class Head:
    """A head of random weights; `sizes` are how many places it was given at once."""

    def __init__(self) -> None:
        self.weight = torch.randn(HIDDEN, VOCABULARY, generator=torch.Generator().manual_seed(0))
        self.sizes: list[int] = []

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        raise AssertionError("a prompt is read from its states")

    def states(self, laid: list[LaidRow], places: list[int]) -> torch.Tensor:
        raise AssertionError("a prompt is read from its states")

    def head(self, states: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(states))
        return states @ self.weight


def _states(places: int) -> torch.Tensor:
    return torch.randn(places, HIDDEN, generator=torch.Generator().manual_seed(1))


def _scored(targets: Sequence[int], top: int = 0, first: int = 0) -> Reading:
    return Reading(first, first + len(targets), targets, top, None)


@pytest.mark.parametrize("row_by_row", [False, True])
def test_each_row_gets_its_own_scores_whatever_the_slices(row_by_row: bool) -> None:
    head, states = Head(), _states(12)
    right = (states @ head.weight).log_softmax(-1)
    readings = [_scored([1, 2, 3, 4, 5], top=2), _scored([6, 7, 8], first=3), _scored([9, 10, 0, 1], top=1)]
    found = PromptReader(head, 5, row_by_row=row_by_row).read(states, readings)

    assert head.sizes == [5, 5, 2]
    for reading, token, at in zip(readings, found, (0, 5, 8), strict=True):
        assert token.read is not None
        own = right[at : at + len(reading.targets)]
        targets = torch.tensor(reading.targets)[:, None]
        assert list(token.read.logprobs) == pytest.approx(
            own.gather(1, targets).squeeze(1).tolist(), abs=1e-5
        )
        assert list(token.read.top_ids) == own.topk(reading.top).indices.flatten().tolist()
        best = own.topk(reading.top).values.flatten().tolist()
        assert list(token.read.top_logprobs) == pytest.approx(best, abs=1e-5)
        assert token.read.states == []


def test_the_last_token_of_a_prompt_has_a_state_and_no_score() -> None:
    head, states = Head(), _states(3)
    (token,) = PromptReader(head, 5).read(states, [Reading(0, 3, (1, 2), 0, Pooling.MEAN)])

    assert head.sizes == [2]
    assert token.read is not None
    assert len(token.read.logprobs) == 2
    assert token.read.states == pytest.approx(states.sum(0).tolist())


def test_states_alone_need_no_head() -> None:
    head, states = Head(), _states(5)
    readings = [Reading(0, 3, (), 0, Pooling.MEAN), Reading(1, 3, (), 0, Pooling.LAST)]
    mean, last = PromptReader(head, 5).read(states, readings)

    assert head.sizes == []
    assert mean.read is not None and last.read is not None
    assert mean.read.states == pytest.approx(states[:3].sum(0).tolist())
    assert last.read.states == states[4].tolist()


def test_a_sum_of_states_has_the_same_bits_however_the_prompt_is_cut() -> None:
    states = _states(1000)
    whole = Reading(0, 1000, (), 0, Pooling.MEAN)
    parts = [Reading(0, length, (), 0, Pooling.MEAN) for length in (1, 332, 667)]
    found = [token.read.states for token in PromptReader(Head(), 4).read(states, parts) if token.read]
    (together,) = PromptReader(Head(), 4).read(states, [whole])

    assert together.read is not None
    assert [sum(axis) for axis in zip(*found, strict=True)] == together.read.states
    assert together.read.states == pytest.approx(states.double().sum(0).tolist(), abs=1e-4)


@pytest.mark.parametrize("pooling", [None, Pooling.MEAN])
def test_a_broken_row_ends_in_an_error_alone(pooling: Pooling | None) -> None:
    states = _states(6)
    states[4] = torch.nan
    targets = () if pooling else (1, 2, 3)
    good, bad = PromptReader(Head(), 4).read(states, [Reading(0, 3, targets, 0, pooling)] * 2)

    assert (good.error, bad.read) == ("", None)
    assert "not finite" in bad.error
