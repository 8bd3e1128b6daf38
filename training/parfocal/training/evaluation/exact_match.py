"""Generates answers greedily and counts those that equal the held-out ones. Meant for short answers."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from parfocal.training.computing import ThreadCount, thread_counts
from parfocal.training.data import BaseEncoder, Sample, prompt_ids

_MARGIN_TOKENS = 8  # an answer that runs this far past the longest true one is wrong anyway


class _TokenByToken(StoppingCriteria):
    """Never stops generation: lets `threads` time every token of a batch, for want of another hook."""

    def __init__(self, threads: ThreadCount, piece: ExitStack) -> None:
        self._threads = threads
        self._piece = piece

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        self._piece.close()
        self._piece.enter_context(self._threads.piece(len(input_ids)))
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def exact_match(model: Any, samples: Sequence[Sample], encoder: BaseEncoder, batch_size: int) -> float:
    """The share of last answers that `model` writes exactly, outer spaces aside; from 0 to 1."""
    ordered = sorted(samples, key=lambda sample: len(sample.ids))
    threads = ThreadCount(thread_counts(model.device, torch.float32))
    right = 0
    for at in range(0, len(ordered), batch_size):
        chunk = ordered[at : at + batch_size]
        answers = _answers(model, chunk, encoder, threads)
        right += sum(a.strip() == s.row.answer.strip() for a, s in zip(answers, chunk, strict=True))
    return right / len(ordered)


def _answers(model: Any, samples: Sequence[Sample], encoder: BaseEncoder, threads: ThreadCount) -> list[str]:
    prompts = [prompt_ids(sample.row, encoder) for sample in samples]
    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), encoder.pad_id)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    limit = _MARGIN_TOKENS + max(len(encoder.encode(sample.row.answer, special=False)) for sample in samples)
    settings = GenerationConfig(
        do_sample=False,
        max_new_tokens=limit,
        pad_token_id=encoder.pad_id,
        eos_token_id=sorted(encoder.end_ids),
    )
    with torch.no_grad(), ExitStack() as piece:
        written = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            generation_config=settings,
            stopping_criteria=StoppingCriteriaList([_TokenByToken(threads, piece)]),
        )
    return [encoder.decode(row) for row in written[:, longest:].tolist()]
