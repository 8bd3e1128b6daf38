"""On a GPU nothing that is known before a step's end makes the sampler wait for it."""

from dataclasses import replace

import pytest
import torch

from fakes.engine.constraints import Listed
from fakes.engine.sampling_rows import DRAWN, PLAIN, VOCABULARY, row
from fakes.engine.watched_card import CARD, watched_card
from parfocal.engine.request import Sampling
from parfocal.engine.sampling.sampler import Sampler
from parfocal.engine.scheduling.plan import SamplingRow

LIMITED = row(Sampling(temperature=1.0, top_k=5, min_p=0.1))
PENALISED = row(Sampling(temperature=1.0, repetition_penalty=1.2), output_ids=(3,))
BIASED = row(Sampling(logit_bias={31: 5.0}))
SCORED = replace(DRAWN, logprobs=True, top_logprobs=3)


class Enough(Exception):
    """Ends a step that has no values."""


def enough() -> None:
    raise Enough


@pytest.mark.parametrize(
    "asked", [PLAIN, DRAWN, LIMITED, PENALISED, BIASED, SCORED, replace(DRAWN, banned_ids=(4,))]
)
@pytest.mark.parametrize("is_held", [False, True], ids=["free", "held"])
def test_all_work_is_queued_before_the_sampler_waits(asked: SamplingRow, is_held: bool) -> None:
    state = Listed(((3,), (17,)), VOCABULARY).start() if is_held else None
    rows = [replace(asked, constraint=state), PLAIN, replace(DRAWN, constraint=state)]

    with watched_card() as card, pytest.raises(Enough):
        Sampler().sample(torch.empty(3, VOCABULARY, device=CARD), rows, enough)

    assert card.copies > 0
    assert card.waits == []


def test_a_copy_from_memory_that_may_move_would_be_noticed() -> None:
    with watched_card() as card:
        torch.tensor([1, 2], device=CARD)
        torch.ones(2).to(CARD, non_blocking=True)
        torch.empty(2).copy_(torch.empty(2, device=CARD), non_blocking=True)

    assert card.waits == ["tensor", "copy of (2,)", "copy of (2,)"]
