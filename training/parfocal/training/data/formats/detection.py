"""Which format a row is written in: by its keys, and by what they hold where keys are shared."""

from collections.abc import Mapping, Sequence
from enum import Enum

from parfocal.registry.values import JSON


class Format(Enum):
    """The formats of rows; the value is what people call one."""

    CHAT = "chat messages"
    CHAT_PROMPT = "chat messages that end with a question"
    PROMPT_COMPLETION = "prompt and completion text"
    PROMPT_COMPLETION_CHAT = "prompt and completion messages"
    TEXT = "plain text"
    PREFERENCE = "prompt, chosen and rejected"
    OPENAI_PREFERENCE = "OpenAI's preferred and non-preferred output"
    UNPAIRED = "prompt, completion and label"
    PROMPT = "prompts without answers"
    SHAREGPT = "ShareGPT conversations"
    ALPACA = "Alpaca instructions"


PREFERRED = ("preferred_output", "preferred_completion")
NOT_PREFERRED = ("non_preferred_output", "non_preferred_completion")
STEPWISE = frozenset({"completions", "labels"})
_PROMPTS = ("question", "query", "instruction", "input", "user", "source", "context", "problem")
_ANSWERS = ("answer", "response", "output", "target", "assistant", "label", "summary", "solution", "reply")


def format_of(value: Mapping[str, JSON]) -> Format | None:
    """The format of a row; None for one that no format has."""
    given = {key for key, held in value.items() if held is not None}
    if "messages" in given:
        if given & {"prompt", "completion"}:
            return None
        return Format.CHAT_PROMPT if _ends_with_question(value["messages"]) else Format.CHAT
    if given & {*PREFERRED, *NOT_PREFERRED}:
        return Format.OPENAI_PREFERENCE
    if {"chosen", "rejected"} <= given:
        return Format.PREFERENCE
    if "prompt" in given and "completion" in value:  # a null is an answer that is missing
        if isinstance(value.get("label"), bool):
            return Format.UNPAIRED
        chat = isinstance(value["prompt"], Sequence) and not isinstance(value["prompt"], str)
        return Format.PROMPT_COMPLETION_CHAT if chat else Format.PROMPT_COMPLETION
    return _rarer_format(given)


def guessed_columns(keys: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Which unknown columns probably hold prompt and completion, as (our name, theirs)."""
    lower = {key.lower(): key for key in reversed(keys)}
    prompt = lower.get("prompt") or next((lower[name] for name in _PROMPTS if name in lower), None)
    answer = lower.get("completion") or next(
        (lower[name] for name in _ANSWERS if name in lower and lower[name] != prompt), None
    )
    if prompt is None or answer is None:
        return ()
    found = (("prompt", prompt), ("completion", answer))
    return tuple((ours, theirs) for ours, theirs in found if ours != theirs)


def _rarer_format(given: set[str]) -> Format | None:
    if "conversations" in given:
        return Format.SHAREGPT
    if {"instruction", "output"} <= given:
        return Format.ALPACA
    if "text" in given:
        return Format.TEXT
    return Format.PROMPT if "prompt" in given and not given >= STEPWISE else None


def _ends_with_question(messages: JSON) -> bool:
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        return False
    last = messages[-1]
    return isinstance(last, Mapping) and last.get("role") in ("user", "tool", "function")
