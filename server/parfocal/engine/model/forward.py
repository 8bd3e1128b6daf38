"""The base's forward pass as the runner calls it; the backend computes it."""

from typing import Protocol

import torch

from parfocal.engine.scheduling import LaidRow


class Forward(Protocol):
    """Runs the base once over a flat batch.

    Most steps need a few logits only. Those that read prompts ask for the states of many places, and take
    them through the head in parts: all logits of a long prompt would not fit.
    """

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        """The logits `[places, vocabulary]` of the batch's places `last`, as float32."""

    def states(self, laid: list[LaidRow], places: list[int]) -> torch.Tensor:
        """The hidden states `[places, hidden]` of the batch's `places` after the final norm."""

    def head(self, states: torch.Tensor) -> torch.Tensor:
        """The logits `[places, vocabulary]` of `states` `[places, hidden]`, as float32."""


class AheadForward(Protocol):
    """Runs decode steps whose tokens only the device knows yet."""

    def follow(self, laid: list[LaidRow], tokens: torch.Tensor, places: list[int]) -> torch.Tensor | None:
        """The logits `[rows, vocabulary]`, as float32, of a step whose row `i` computes `tokens[places[i]]`.

        `tokens`, int64, lie on the device and may still be computed; -1 stands for any. The host waits for
        nothing. None, and nothing is queued, where such a step cannot be run.
        """
