"""Examples as a method wants them: `sft`, `text`, `preference`, `unpaired`, `prompts`.

A view refuses what is not made for it, and says how it could be made so.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from parfocal.training.data.formats import Columns, ExampleReader, Format, RowFault, finding_of
from parfocal.training.data.reading import Progress
from parfocal.training.data.rows import Example, PreferenceRow, PromptRow, Row, UnpairedRow, row_of
from parfocal.training.findings import Finding, Findings

E = TypeVar("E", bound=Example)


@dataclass(frozen=True, slots=True)
class ReadRows(Generic[E]):
    """The rows that a view takes from a data set, what is wrong with the others, and the data's digest.

    `format` is that of most rows; `count` how many objects there were.
    """

    rows: tuple[E, ...]
    findings: tuple[Finding, ...]
    digest: str
    format: Format | None
    count: int


def read_rows(
    path: Path,
    view: Callable[[Example], E],
    columns: Columns | None = None,
    progress: Progress | None = None,
) -> ReadRows[E]:
    """Reads all rows of `path` as `view` wants them: a file, `-`, or a data set of the Hub.

    Raises:
        DataUnreadable: there is no such file.
        HubRefused: the Hub gives no such data set.
    """
    reader = ExampleReader(path, columns, progress)
    findings = Findings()
    rows: list[E] = []
    for found in viewed(reader, view):
        if isinstance(found, Finding):
            findings.add(found)
        else:
            rows.append(found)
    return ReadRows(tuple(rows), findings.as_tuple(), reader.digest, reader.format, reader.count)


def viewed(found: Iterable[Example | Finding], view: Callable[[Example], E]) -> Iterable[E | Finding]:
    """Examples through a view; a finding for each that it refuses."""
    for each in found:
        if isinstance(each, Finding):
            yield each
            continue
        try:
            yield view(each)
        except RowFault as fault:
            row = row_of(each)
            yield finding_of(fault, row.source, row.line)


def sft(example: Example) -> Row:
    """A prompt and answers to learn: chats, prompt and completion, ShareGPT, Alpaca. Raises RowFault."""
    if not isinstance(example, Row):
        raise _not_for("sft", example)
    if is_plain_text(example):
        raise RowFault(
            "WRONG_FORMAT",
            "is plain text, which does not say what is prompt and what is completion",
            "train with --method text, or write prompt and completion",
        )
    if example.turns[-1].role != "assistant":
        raise RowFault(
            "LAST_NOT_ASSISTANT",
            "does not end with an assistant message, so there is no answer",
            "complete the talk, or cut it after its last answer",
        )
    if not any(turn.learn for turn in example.turns):
        raise RowFault(
            "NOTHING_TO_LEARN",
            "has no assistant message with a weight other than 0",
            "give weight 1, or none, to an answer",
        )
    return example


def text(example: Example) -> Row:
    """A text that is learnt whole. Raises RowFault."""
    if not isinstance(example, Row) or not is_plain_text(example):
        raise _not_for("text", example)
    return example


def preference(example: Example) -> PreferenceRow:
    """A prompt with a better and a worse answer, for DPO and reward models. Raises RowFault."""
    if not isinstance(example, PreferenceRow):
        raise _not_for("preference", example)
    return example


def unpaired(example: Example) -> UnpairedRow:
    """An answer that is judged good or bad, for KTO. Raises RowFault."""
    if not isinstance(example, UnpairedRow):
        raise _not_for("unpaired", example)
    return example


def prompts(example: Example) -> PromptRow:
    """A prompt to answer, with what graders compare the answer with, for GRPO. Raises RowFault."""
    if not isinstance(example, PromptRow):
        raise _not_for("prompts", example)
    return example


def is_plain_text(row: Row) -> bool:
    """Whether a row is a text that is learnt whole."""
    return row.raw and len(row.turns) == 1 and row.turns[0].learn


def kind_of(example: Example) -> str:
    """What a row is, in words."""
    if isinstance(example, PreferenceRow):
        return "a preference row"
    if isinstance(example, UnpairedRow):
        return "a judged answer"
    if isinstance(example, PromptRow):
        return "a prompt without an answer"
    return "plain text" if is_plain_text(example) else "a prompt with its answer"


VIEWS: dict[str, Callable[[Example], Example]] = {
    "sft": sft,
    "text": text,
    "preference": preference,
    "unpaired": unpaired,
    "prompts": prompts,
}
# Which view each method reads.
METHOD_VIEWS = {
    "sft": "sft",
    "text": "text",
    "dpo": "preference",
    "reward": "preference",
    "kto": "unpaired",
    "grpo": "prompts",
}


def _not_for(view: str, example: Example) -> RowFault:
    methods = " and ".join(method for method, read in METHOD_VIEWS.items() if read == view)
    if view == "sft" and isinstance(example, PromptRow) and not example.row.raw:
        return RowFault(
            "LAST_NOT_ASSISTANT",
            "does not end with an assistant message, so there is no answer",
            "complete the talk, or cut it after its last answer",
        )
    return RowFault(
        "WRONG_FORMAT",
        f"is {kind_of(example)}, which {methods} does not read",
        "parfocal data check FILE shows which methods the rows fit, and how to make them fit others",
    )
