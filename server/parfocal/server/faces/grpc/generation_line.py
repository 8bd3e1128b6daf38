"""What a generation's log line adds to that of any rpc: adapter, tokens, timings, finish reason.

It never has prompts or answers.
"""

from parfocal.engine import AdapterKey, Completion, Delta, Timings
from parfocal.rpc import Call, current_call


class GenerationLine:
    """Fills in the line of the current rpc as the request progresses, from arrival to end."""

    def __init__(self, request_id: str, reference: str) -> None:
        """Notes what was asked for; without an id from the caller, the rpc's own is used."""
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
        """Counts generated tokens, so that even an abandoned request is logged with its progress."""
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
