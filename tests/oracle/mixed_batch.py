"""Requests on many adapters and on the base, in one batch, each held against what PEFT says to it alone."""

from collections.abc import Sequence

import torch

from oracle.engines import run_all
from oracle.peft_oracle import PeftOracle
from parfocal.engine import AdapterKey, Request, Stop
from parfocal.engine.engine import Engine

_LENGTHS = (3, 17, 40, 61, 90, 9, 33, 70)
# The last request shares its beginning with this one, whose adapter it must name too.
_TWIN, _SHARED = 2, 40


def mixed_requests(adapters: Sequence[str], new_tokens: int, seed: int) -> list[Request]:
    """Returns eight requests of mixed lengths, one for each of `adapters`; "" is the base."""
    assert adapters[_TWIN] == adapters[-1]
    torch.manual_seed(seed)
    prompts = [torch.randint(256, (length,)).tolist() for length in _LENGTHS]
    prompts[-1][:_SHARED] = prompts[_TWIN]
    return [
        Request(
            request_id=f"q{number}",
            prompt_ids=tuple(prompt),
            adapter=AdapterKey(name) if name else None,
            stop=Stop(max_tokens=new_tokens, ignore_eos=True),
        )
        for number, (name, prompt) in enumerate(zip(adapters, prompts, strict=True))
    ]


def check_against_peft(engine: Engine, requests: list[Request], oracle: PeftOracle) -> None:
    """Runs the batch twice, the second time on cached prefixes; raises unless every token is PEFT's."""
    done, again = run_all(engine, requests), run_all(engine, requests)
    for request in requests:
        name = request.request_id
        digest = request.adapter.digest if request.adapter else ""
        right = oracle.greedy(request.prompt_ids, digest, request.stop.max_tokens or 0)
        assert list(done.completions[name].token_ids) == right
        assert list(again.completions[name].token_ids) == right
    assert max(again.completions[r.request_id].cached_tokens for r in requests) >= 64
