"""What the log tells of a generation beside what it tells of any rpc: adapter, tokens, times, end.

Neither prompts nor answers are told.
"""

from parfocal.engine import AdapterKey, Completion, Delta, Timings
from parfocal.rpc import Call, current_call


class GenerationLine:
    """Fills the line of the current rpc, from a request's arrival to its end, as far as it comes."""

    def __init__(self, request_id: str, reference: str) -> None:
        """Notes what was asked for; without an id of the caller's, the rpc's own counts."""
        self._call: Call = current_call()
        if request_id:
            self._call.request_id = request_id
        self._call.facts["adapter"] = reference or "base"

    @property
    def request_id(self) -> str:
        """The id under which the request is logged."""
        return self._call.request_id

    def resolved(self, adapter: AdapterKey | None) -> None:
        """Notes what the reference meant."""
        if adapter is not None:
            self._call.facts["adapter"] = f"{adapter.name}@{adapter.version}"
            self._call.facts["digest"] = adapter.digest

    def admitted(self, prompt_tokens: int) -> None:
        """Notes the length of the prompt."""
        self._call.facts["prompt_tokens"] = prompt_tokens
        self._call.facts["completion_tokens"] = 0

    def progressed(self, delta: Delta) -> None:
        """Counts what was generated: a request that its caller gives up is told as far as it came."""
        completion = delta.completion
        if completion is not None:
            self._ended(completion)
        else:
            facts = self._call.facts
            facts["completion_tokens"] = int(facts["completion_tokens"]) + len(delta.token_ids)

    def _ended(self, completion: Completion) -> None:
        self._call.facts.pop("completion_tokens", None)
        self._call.facts |= {
            "prompt_tokens": completion.prompt_tokens,
            "cached_tokens": completion.cached_tokens,
            "completion_tokens": len(completion.token_ids),
            "finish_reason": completion.finish_reason.value,
            **_seconds(completion.timings),
        }


def _seconds(timings: Timings) -> dict[str, float]:
    return {f"{name}_s": round(getattr(timings, name), 4) for name in ("queue", "load", "prefill", "decode")}
