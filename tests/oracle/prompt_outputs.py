"""What is told of prompts, held against PEFT and transformers, in one batch with requests that generate."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from oracle.engines import run_all
from oracle.peft_oracle import PeftOracle
from parfocal.engine import AdapterKey, Completion, Pooling, Request, Stop
from parfocal.engine.engine import Engine

TOP = 3


def asked(adapter: str, length: int, **options: object) -> Request:
    """Returns a request with a prompt of `length` random tokens; "" is the base."""
    torch.manual_seed(length)
    prompt = tuple(torch.randint(256, (length,)).tolist())
    name = f"{adapter}{sorted(options)}"
    return Request(name, prompt, AdapterKey(adapter) if adapter else None, **options)  # type: ignore[arg-type]


def check_logprobs(
    engine: Engine, oracle: PeftOracle, lengths: Mapping[str, int], tolerance: float = 1e-4
) -> None:
    """Raises unless prompts under each adapter of `lengths`, and the base, have PEFT's log-probabilities."""
    alone = [asked(*one, prompt_logprobs=TOP, stop=Stop(max_tokens=0)) for one in lengths.items()]
    longer = [
        replace(one, request_id=f"{one.request_id} longer", stop=Stop(max_tokens=2, ignore_eos=True))
        for one in alone
    ]
    done = _done(engine, oracle, [*alone, *longer], lengths)
    for request in (*alone, *longer):
        right = oracle.logprobs(request.prompt_ids, _digest(request))
        entries = list(done[request.request_id].prompt_logprobs)
        assert entries[0] is None
        assert len(entries) == len(request.prompt_ids)
        for place, entry in enumerate(entries[1:]):
            assert entry is not None
            assert entry.token_id == request.prompt_ids[place + 1]
            assert entry.logprob == pytest.approx(float(right[place, entry.token_id]), abs=tolerance)
            best = right[place].topk(TOP)
            assert [one for one, _ in entry.top] == best.indices.tolist()
            assert [value for _, value in entry.top] == pytest.approx(best.values.tolist(), abs=tolerance)


def check_embeddings(
    engine: Engine,
    oracle: PeftOracle,
    lengths: Mapping[str, int],
    pooling: Pooling,
    tolerance: float = 1e-4,
) -> None:
    """Raises unless each embedding is the pooled last hidden states; the base's is normalised."""
    requests = [asked(*one, pooling=pooling, normalised=not one[0]) for one in lengths.items()]
    done = _done(engine, oracle, requests, lengths)
    for request in requests:
        states = oracle.states(request.prompt_ids, _digest(request))
        pooled = states.mean(0) if pooling is Pooling.MEAN else states[-1]
        right = normalize(pooled, dim=0) if request.normalised else pooled
        assert done[request.request_id].embedding == pytest.approx(right.tolist(), abs=tolerance)


def _done(
    engine: Engine, oracle: PeftOracle, requests: list[Request], lengths: Mapping[str, int]
) -> dict[str, Completion]:
    """Returns the completions, having checked those of requests beside them that only generate."""
    others = [asked(*one, stop=Stop(max_tokens=6, ignore_eos=True)) for one in lengths.items()]
    found = run_all(engine, [*requests, *others])
    assert not found.errors
    for other in others:
        right = oracle.greedy(other.prompt_ids, _digest(other), 6)
        assert list(found.completions[other.request_id].token_ids) == right
    return found.completions


def _digest(request: Request) -> str:
    return request.adapter.digest if request.adapter else ""
