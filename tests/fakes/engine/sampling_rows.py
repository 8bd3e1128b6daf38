"""Rows of logits and what is asked of them, for tests of sampling."""

import dataclasses
from collections.abc import Sequence

import torch

from parfocal.engine.request import Sampling
from parfocal.engine.scheduling.plan import LogitBias, SampledToken, SamplingRow

VOCABULARY = 50
PLAIN = SamplingRow(Sampling(), 0, (), (), (), logprobs=False, top_logprobs=0, draw_seed=0)
DRAWN = dataclasses.replace(PLAIN, sampling=Sampling(temperature=1.0))
LIMITED = dataclasses.replace(PLAIN, sampling=Sampling(temperature=1.0, top_k=5, top_p=0.5, min_p=0.1))


def row(sampling: Sampling, **changes: object) -> SamplingRow:
    bias = LogitBias.of(sampling.logit_bias)
    return dataclasses.replace(PLAIN, sampling=sampling, bias=bias, **changes)  # type: ignore[arg-type]


def random_logits(rows: int, vocabulary: int = VOCABULARY, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed))


def ids(tokens: Sequence[SampledToken]) -> list[int]:
    return [token.token_id for token in tokens]
