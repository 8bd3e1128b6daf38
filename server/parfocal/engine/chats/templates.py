"""Runs one chat template, exactly as transformers does. Knows no tokens.

A template is code that came with a base or an adapter: whatever it raises refuses only the chat.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import jinja2

from parfocal.engine.chats.messages import Message, Value
from parfocal.engine.errors import ChatRefused, InvalidRequest

# What code inside the sandbox can raise: a template's bug refuses the request; it is no server fault.
_TEMPLATE_ERRORS = (
    jinja2.TemplateError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")  # as transformers looks for it
_OWN_NAMES = frozenset({
    "add_generation_prompt", "chat_template", "continue_final_message", "conversations", "documents",
    "messages", "return_assistant_tokens_mask", "tools",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class TemplateCall:
    """One run of a template. `variables` include the tokenizer's special tokens, such as `bos_token`."""

    template: str
    messages: Sequence[Message]
    variables: Mapping[str, Value] = field(default_factory=dict)
    tools: Sequence[Mapping[str, Value]] = ()
    generation_prompt: bool = True
    marks: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """A rendered chat. All places are character offsets in `text`.

    answers: where `{% generation %}` blocks begin and end, if the call asked for marks. quoted: where special
    tokens that someone wrote in a message begin: they stay text.
    """

    text: str
    answers: tuple[tuple[int, int], ...] = ()
    quoted: tuple[int, ...] = ()


class TemplateRunner(Protocol):
    """Runs templates, in this process or in another."""

    def __call__(self, call: TemplateCall) -> Written:
        """Runs the template; raises ChatRefused."""


def run_template(call: TemplateCall) -> Written:
    """Runs the template in this process, without a time limit.

    Raises:
        ChatRefused: the template raised an error, of its own making or of Python's.
    """
    from transformers.utils.chat_template_utils import render_jinja_template  # takes a second to import

    render: Any = render_jinja_template  # declared to return a text, but returns two lists
    try:
        texts, marks = render(
            conversations=[[dict(message) for message in call.messages]],
            tools=[dict(tool) for tool in call.tools] or None,
            chat_template=call.template,
            add_generation_prompt=call.generation_prompt,
            return_assistant_tokens_mask=call.marks and _GENERATION.search(call.template) is not None,
            **call.variables,
        )
    except _TEMPLATE_ERRORS as error:
        raise ChatRefused(
            f"the chat template refuses these messages: {_reason(error)}", field="chat"
        ) from error
    return Written(texts[0], tuple((start, end) for start, end in marks[0]) if marks else ())


def default_template(templates: object, *, tools: bool = False) -> str | None:
    """The template used when none is named; a tokenizer has one text, or several by name."""
    if isinstance(templates, str):
        return templates
    if not isinstance(templates, Mapping):
        return None
    found = templates.get("tool_use") if tools else None
    found = found or templates.get("default")
    return found if isinstance(found, str) else None


def check_variables(variables: Mapping[str, Value], field: str) -> None:
    """Raises InvalidRequest, with `field`, for a variable that would shadow the chat itself."""
    for name in variables:
        if not name.isidentifier() or name in _OWN_NAMES:
            raise InvalidRequest(
                f"{name[:40]!r} cannot be a template variable; use a name that the template reads, such as "
                "enable_thinking",
                field=field,
            )


def _reason(error: Exception) -> str:
    """A template's own message stands alone; a Python error is named, since its text alone says little."""
    text = " ".join(str(error).split())[:500]
    if type(error) is jinja2.TemplateError:  # raised by the template's raise_exception
        return text or "it gives no reason"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
