"""What is told of one request: its line in the log, and its count if the engine never took it.

Knows neither rpcs nor a metrics library. Prompts and answers are never told.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from parfocal.engine import AdapterKey, Completion, Delta, FinishReason, Timings
from parfocal.server.canaries import Ended
from parfocal.server.errors import ContractMismatch
from parfocal.server.requests.adapters import shown

_COUNTED = ("prompt_tokens", "completion_tokens")
# Is told how a request ended, where its version is measured against another.
Share = Callable[[Ended], None]
# What was given up or turned away says nothing of the version that it got. All else counts: who gets which
# version is drawn by lot, so that what callers do wrong strikes both alike.
_SAYS_NOTHING = frozenset({"CANCELLED", "RESOURCE_EXHAUSTED"})


class Line(Protocol):
    """A request's line in the log; an rpc's `Call` is one. `facts` are its fields, in order."""

    request_id: str
    facts: dict[str, str | int | float]


@dataclass(slots=True)
class PartLine:
    """What one of several requests tells that came together; the line that is logged sums them up."""

    request_id: str
    facts: dict[str, str | int | float] = field(default_factory=dict)


def summed(lines: Sequence[PartLine]) -> dict[str, int]:
    """The tokens of all of them."""
    return {name: sum(int(line.facts.get(name, 0)) for line in lines) for name in _COUNTED}


class RefusalCounter(Protocol):
    """Counts refused requests; `ServerMetrics` is one."""

    def refused(self, adapter: AdapterKey | None, outcome: str) -> None:
        """Counts a refused request of a known adapter, or of the base where `adapter` is None."""

    def refused_unresolved(self, outcome: str) -> None:
        """Counts a refused request whose adapter was never found."""


class Account:
    """Fills in a request's line as it progresses, from arrival to end.

    Its scope is that in which the request is admitted: an error that leaves it is counted, and passes.
    """

    def __init__(self, line: Line, counter: RefusalCounter, request_id: str, reference: str) -> None:
        """Notes what was asked for; without an id from the caller, the line's own is used."""
        self._line = line
        self._counter = counter
        self._adapter: AdapterKey | None = None
        self._is_resolved = not reference
        self._share: Share | None = None
        self._generated = 0
        if request_id:
            line.request_id = request_id
        line.facts["adapter"] = reference or "base"

    @property
    def request_id(self) -> str:
        """The id under which the request is logged."""
        return self._line.request_id

    def resolved(self, adapter: AdapterKey | None, share: Share | None = None) -> None:
        """Notes what the reference meant; None is the base. `share` is told how the request ends."""
        self._adapter, self._is_resolved = adapter, True
        self._share = share
        if adapter is not None:
            self._line.facts["adapter"] = shown(adapter)
            self._line.facts["digest"] = adapter.digest

    def admitted(self, prompt_tokens: int) -> None:
        """Notes the length of the prompt."""
        self._line.facts["prompt_tokens"] = prompt_tokens
        self._line.facts["completion_tokens"] = 0

    def progressed(self, delta: Delta) -> None:
        """Counts generated tokens, so that even an abandoned request is logged with its progress.

        Of several choices, all tokens count; what else is told is that of the last one to end.
        """
        self._generated += len(delta.token_ids)
        if delta.completion is not None:
            self._ended(delta.completion)
        else:
            self._line.facts["completion_tokens"] = self._generated

    def failed(self, error: BaseException) -> None:
        """Notes that the request ended without an answer."""
        if self._share is not None and getattr(error, "status", "INTERNAL") not in _SAYS_NOTHING:
            self._share(Ended(failed=True))
            self._share = None

    def embedded(self, completions: Sequence[Completion]) -> None:
        """Notes what became of a request for embeddings: one completion for each input."""
        reasons = {each.finish_reason for each in completions}
        if self._share is not None and FinishReason.CANCELLED not in reasons:
            self._share(Ended(failed=FinishReason.DEADLINE in reasons))
        self._line.facts.pop("completion_tokens", None)
        self._line.facts["inputs"] = len(completions)
        for name in ("prompt_tokens", "cached_tokens"):
            self._line.facts[name] = sum(getattr(each, name) for each in completions)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        if not isinstance(error, asyncio.CancelledError):
            self.failed(error)
        if isinstance(error, ContractMismatch):
            self._adapter, self._is_resolved = error.adapter, True
        if self._is_resolved:
            self._counter.refused(self._adapter, _outcome(error))
        else:
            self._counter.refused_unresolved(_outcome(error))

    def _ended(self, completion: Completion) -> None:
        if self._share is not None and completion.finish_reason is not FinishReason.CANCELLED:
            self._share(_end_of(completion))
        self._line.facts.pop("completion_tokens", None)
        self._line.facts |= {
            "prompt_tokens": completion.prompt_tokens,
            "cached_tokens": completion.cached_tokens,
            "completion_tokens": self._generated,
            "finish_reason": completion.finish_reason.value,
            **_seconds(completion.timings),
        }


def _seconds(timings: Timings) -> dict[str, float]:
    return {f"{name}_s": round(getattr(timings, name), 4) for name in ("queue", "load", "prefill", "decode")}


def _end_of(completion: Completion) -> Ended:
    """How a request ended, as a version is judged by it."""
    count, timings = len(completion.token_ids), completion.timings
    first_token_s = timings.queue + timings.prefill if count else None
    if completion.finish_reason is FinishReason.DEADLINE:
        return Ended(True, first_token_s)
    return Ended(False, first_token_s, count)


def _outcome(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return str(getattr(error, "reason", "internal")).lower()
