"""What answers to held-out prompts earn: the likeliest answers, so that two models are compared alike."""

from collections.abc import Sequence
from typing import Any

import torch

from parfocal.training.computing import ThreadCount, thread_counts
from parfocal.training.data import BaseEncoder, Question
from parfocal.training.methods.groups.drawing import Drawing
from parfocal.training.methods.groups.grpo import attempts_of
from parfocal.training.methods.method import RowMarks
from parfocal.training.rewards import GuardedRewards


class RewardMeasure:
    """The mean reward of the model's likeliest answers; `loss` is that, negated."""

    relative = False

    def __init__(
        self,
        questions: Sequence[Question],
        rewards: GuardedRewards,
        encoder: BaseEncoder,
        tokens: int,
        batch_size: int,
    ) -> None:
        self.examples = len(questions)
        self._questions = questions
        self._rewards = rewards
        self._encoder = encoder
        self._drawing = Drawing(tokens, 0.0)
        self._batch_size = batch_size

    def refer(self, model: Any) -> RowMarks:
        """Marks the base; later marks do not depend on it."""
        return self.score(model)

    def score(self, model: Any) -> RowMarks:
        """Marks `model`; raises RewardFailed."""
        device = next(model.parameters()).device
        order = sorted(range(self.examples), key=lambda index: self._questions[index].size)
        threads = ThreadCount(thread_counts(device, torch.float32))
        earned = [0.0] * self.examples
        for at in range(0, len(order), self._batch_size):
            chunk = order[at : at + self._batch_size]
            questions = [self._questions[index] for index in chunk]
            prompts = [question.ids.tolist() for question in questions]
            with threads.piece(len(chunk)):
                written = self._drawing.draw(model, prompts, self._encoder)
            texts = [self._encoder.decode(ids) for ids in written]
            for index, reward in zip(chunk, self._rewards.sums(attempts_of(questions, texts)), strict=True):
                earned[index] = reward
        return RowMarks(-sum(earned) / len(earned), {"reward": tuple(earned)})
