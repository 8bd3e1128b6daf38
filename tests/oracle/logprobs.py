"""How far the log-probabilities of two engines lie apart, after the same prompts and adapters."""

from collections.abc import Sequence

import torch

from oracle.engines import run_all
from parfocal.engine import AdapterKey, Request, Stop
from parfocal.engine.engine import Engine

TOP = 20
# Of that many of the likeliest tokens the log-probabilities are compared; the others' say little.
_LIKELIEST = 5

LogProbs = list[dict[int, float]]


def first_tokens(engine: Engine, adapters: Sequence[str], vocabulary: int = 256) -> LogProbs:
    """Returns the log-probabilities of the 20 likeliest tokens after a prompt for each of `adapters`.

    Prompts are ever longer; the base's name is "".
    """
    torch.manual_seed(0)
    requests = [
        Request(
            request_id=f"q{number}",
            prompt_ids=tuple(torch.randint(vocabulary, (5 + 9 * number,)).tolist()),
            adapter=AdapterKey(name) if name else None,
            stop=Stop(max_tokens=1, ignore_eos=True),
            top_logprobs=TOP,
        )
        for number, name in enumerate(adapters)
    ]
    done = run_all(engine, requests).completions
    return [dict(done[request.request_id].logprobs[0].top) for request in requests]


def worst_difference(exact: LogProbs, found: LogProbs) -> float:
    """Returns the largest difference among the likeliest tokens; infinite if one of them is not found."""
    worst = 0.0
    for right, row in zip(exact, found, strict=True):
        for token in sorted(right, key=right.__getitem__)[-_LIKELIEST:]:
            worst = max(worst, abs(right[token] - row.get(token, float("inf"))))
    return worst
