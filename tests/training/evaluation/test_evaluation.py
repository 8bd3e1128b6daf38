"""Scores: right in value, per row in order, and without a trace in the model."""

import math
from array import array
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from parfocal.training.data.rendering import MASKED, Sample
from parfocal.training.data.rows import Row, Turn
from parfocal.training.evaluation.held_out import HeldOut, padded
from parfocal.training.evaluation.loss import answer_logits


class Output:
    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class CountingModel(nn.Module):
    """Says that the next token is one more than this one, with odds of e² to 1 against each other token."""

    def __init__(self, vocabulary: int = 8) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.modes: list[bool] = []

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool, logits_to_keep: Tensor
    ) -> Output:
        self.modes.append(self.training)
        following = (input_ids[:, logits_to_keep] + 1) % self.vocabulary
        return Output(2.0 * nn.functional.one_hot(following, self.vocabulary).float())


RIGHT = -math.log(math.exp(2) / (math.exp(2) + 7))
WRONG = -math.log(1 / (math.exp(2) + 7))


def sample(ids: Sequence[int], prompt: int) -> Sample:
    row = Row("d", 1, (Turn("user", "p"), Turn("assistant", "a", learn=True)), raw=True)
    return Sample(row, array("i", ids), array("i", [MASKED] * prompt + list(ids[prompt:])))


def test_loss_and_accuracy_are_over_answer_tokens_alone() -> None:
    held_out = HeldOut([sample([7, 7, 7, 0, 1], 3), sample([1, 5], 1)], 4, 0, torch.device("cpu"))
    score = held_out.score(CountingModel())

    assert score.tokens == 3
    assert score.token_accuracy == pytest.approx(2 / 3)
    assert score.loss == pytest.approx((2 * RIGHT + WRONG) / 3)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_row_losses_come_in_the_order_of_the_rows_whatever_the_batches(batch_size: int) -> None:
    samples = [sample([1, 2, 3, 4, 5, 6], 2), sample([1, 7], 1), sample([3, 4, 0], 1)]
    score = HeldOut(samples, batch_size, 0, torch.device("cpu")).score(CountingModel())

    assert score.row_losses == pytest.approx((RIGHT, WRONG, (RIGHT + WRONG) / 2))


def test_prompt_labels_and_padding_do_not_matter() -> None:
    model = CountingModel()
    batch = padded([sample([1, 2, 3], 1), sample([1, 2, 3, 4, 5], 3)], 0, torch.device("cpu"))
    answers = answer_logits(model, batch)

    assert answers.targets.tolist() == [2, 3, 4, 5]
    assert answers.rows.tolist() == [0, 0, 1, 1]
    assert batch["input_ids"].tolist() == [[1, 2, 3, 0, 0], [1, 2, 3, 4, 5]]
    assert batch["labels"].tolist() == [[MASKED, 2, 3, MASKED, MASKED], [MASKED] * 3 + [4, 5]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5]


def test_logits_are_made_only_from_the_first_answer_on() -> None:
    kept: list[Tensor] = []

    class Watching(CountingModel):
        def forward(
            self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool, logits_to_keep: Tensor
        ) -> Output:
            kept.append(logits_to_keep)
            return super().forward(input_ids, attention_mask, use_cache, logits_to_keep)

    batch = padded([sample(range(8), 5), sample(range(8), 6)], 0, torch.device("cpu"))
    answer_logits(Watching(), batch)

    assert kept[0].tolist() == [4, 5, 6]


@pytest.mark.parametrize("training", [True, False])
def test_scoring_is_done_in_eval_mode_and_the_mode_comes_back(training: bool) -> None:
    model = CountingModel().train(training)
    HeldOut([sample([1, 2], 1)], 1, 0, torch.device("cpu")).score(model)

    assert model.modes == [False]
    assert model.training is training
