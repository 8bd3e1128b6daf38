"""Which methods a format of rows fits: ready, after a mapping, or not at all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from parfocal.registry.values import JSON
from parfocal.training.data.formats import Format
from parfocal.training.data.rows import Example, PreferenceRow, PromptRow, Row, Turn, UnpairedRow
from parfocal.training.data.views import METHOD_VIEWS, is_plain_text


class Fit(Enum):
    """How well a method and a format go together."""

    READY = "READY"
    MAPPING = "needs mapping"
    NO = "no"


@dataclass(frozen=True, slots=True)
class MethodFit:
    """One method: whether it can read the rows, and what must be done or is missing."""

    method: str
    fit: Fit
    how: str

    def to_json(self) -> dict[str, JSON]:
        """The line as a document has it."""
        return {"method": self.method, "fit": self.fit.value, "how": self.how}


VIEW_OF_FORMAT: Mapping[Format, str] = {
    Format.CHAT: "sft",
    Format.PROMPT_COMPLETION: "sft",
    Format.PROMPT_COMPLETION_CHAT: "sft",
    Format.SHAREGPT: "sft",
    Format.ALPACA: "sft",
    Format.TEXT: "text",
    Format.PREFERENCE: "preference",
    Format.OPENAI_PREFERENCE: "preference",
    Format.UNPAIRED: "unpaired",
    Format.CHAT_PROMPT: "prompts",
    Format.PROMPT: "prompts",
}
# From a view to another, in words; what is not here cannot be made of such rows.
_MAPPINGS: Mapping[tuple[str, str], str] = {
    ("sft", "text"): "prompt and answer become one text",
    ("sft", "prompts"): "the last answer becomes the field `answer`, which a grader compares with",
    ("preference", "sft"): "the chosen answer is learnt",
    ("preference", "unpaired"): "each pair becomes two rows, chosen with label true, rejected with false",
    ("preference", "prompts"): "the chosen answer becomes the field `answer`",
    ("unpaired", "sft"): "rows with label true are learnt",
    ("unpaired", "prompts"): "the prompt alone is kept",
}
_LACKS: Mapping[str, str] = {
    "sft": "rows have no answers to learn",
    "text": "rows are no texts",
    "preference": "rows have no second, worse answer to each prompt",
    "unpaired": "rows have no label that says whether the answer is good",
    "prompts": "texts have no prompt",
}


def fits(format_: Format | None, guessed: str = "") -> tuple[MethodFit, ...]:
    """What each method makes of rows of a format; `guessed` is how to name the columns of unknown ones."""
    return tuple(_fit(method, view, format_, guessed) for method, view in METHOD_VIEWS.items())


def method_of(format_: Format | None) -> str:
    """The method that a format is written for; `sft` where nobody knows."""
    view = "sft" if format_ is None else VIEW_OF_FORMAT[format_]
    return next(method for method, read in METHOD_VIEWS.items() if read == view)


def view_of(example: Example) -> str:
    """The view that an example is made for."""
    if isinstance(example, PreferenceRow):
        return "preference"
    if isinstance(example, UnpairedRow):
        return "unpaired"
    if isinstance(example, PromptRow):
        return "prompts"
    return "text" if is_plain_text(example) else "sft"


def mapped(example: Example, view: str) -> tuple[dict[str, JSON], ...]:
    """An example as rows of another view, as TRL and `parfocal train` read them; none where it has none."""
    if isinstance(example, Row):
        return _FROM_ROW[view](example) if view in _FROM_ROW else ()
    if isinstance(example, PreferenceRow):
        return _from_preference(example, view)
    if isinstance(example, UnpairedRow):
        return _from_unpaired(example, view)
    return (_prompt(example.row, dict(example.fields)),) if view == "prompts" else ()


def _fit(method: str, view: str, format_: Format | None, guessed: str) -> MethodFit:
    if format_ is None:
        if guessed and view == "sft":
            return MethodFit(method, Fit.MAPPING, guessed)
        return MethodFit(method, Fit.NO, "the format is not known")
    own = VIEW_OF_FORMAT[format_]
    if own == view:
        return MethodFit(method, Fit.READY, format_.value)
    how = _MAPPINGS.get((own, view))
    if how is None:
        return MethodFit(method, Fit.NO, _LACKS[view])
    return MethodFit(method, Fit.MAPPING, f"{how}: parfocal data show FILE --as {view} > rows.jsonl")


def _sft(row: Row) -> tuple[dict[str, JSON], ...]:
    if is_plain_text(row):
        return ()
    if row.raw:
        return ({"prompt": row.turns[0].content, "completion": row.answer, **_slice(row)},)
    return ({"messages": _messages(row.turns, weights=True), **_tools(row), **_slice(row)},)


def _text(row: Row) -> tuple[dict[str, JSON], ...]:
    if row.raw:
        return ({"text": "".join(turn.content for turn in row.turns), **_slice(row)},)
    return ({"text": "\n\n".join(turn.content for turn in row.turns if turn.content), **_slice(row)},)


def _question(row: Row) -> tuple[dict[str, JSON], ...]:
    return () if is_plain_text(row) else (_prompt(row, {"answer": row.answer}),)


def _prompt(row: Row, fields: Mapping[str, JSON]) -> dict[str, JSON]:
    turns = row.prompt if row.turns[-1].role == "assistant" else row.turns
    prompt: JSON = turns[0].content if row.raw else _messages(turns)
    return {"prompt": prompt, **fields, **({} if row.raw else _tools(row)), **_slice(row)}


def _from_preference(example: PreferenceRow, view: str) -> tuple[dict[str, JSON], ...]:
    row = example.chosen
    if view == "sft":
        return _sft(row)
    if view == "prompts":
        return _question(row)
    if view == "unpaired":
        return tuple(
            _judged(each, good) for each, good in ((example.chosen, True), (example.rejected, False))
        )
    if view != "preference":
        return ()
    answers = (_answer(row), _answer(example.rejected))
    return ({**_prompt(row, {}), "chosen": answers[0], "rejected": answers[1]},)


def _from_unpaired(example: UnpairedRow, view: str) -> tuple[dict[str, JSON], ...]:
    if view == "sft":
        return _sft(example.row) if example.good else ()
    if view == "prompts":
        return (_prompt(example.row, {}),)
    return (_judged(example.row, example.good),) if view == "unpaired" else ()


def _judged(row: Row, good: bool) -> dict[str, JSON]:
    return {**_prompt(row, {}), "completion": _answer(row), "label": good}


def _answer(row: Row) -> JSON:
    return row.answer if row.raw else _messages(row.turns[-1:])


def _messages(turns: tuple[Turn, ...], *, weights: bool = False) -> JSON:
    return [
        {
            "role": turn.role,
            "content": turn.content,
            **turn.extra,
            **({"weight": 0} if weights and turn.role == "assistant" and not turn.learn else {}),
        }
        for turn in turns
    ]


def _tools(row: Row) -> dict[str, JSON]:
    return {"tools": list(row.tools)} if row.tools else {}


def _slice(row: Row) -> dict[str, JSON]:
    return {"slice": row.slice} if row.slice else {}


_FROM_ROW: Mapping[str, Callable[[Row], tuple[dict[str, JSON], ...]]] = {
    "sft": _sft,
    "text": _text,
    "prompts": _question,
}
