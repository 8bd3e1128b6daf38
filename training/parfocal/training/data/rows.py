"""One training example, in whichever format it was written. Knows no tokens and no files."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from parfocal.registry.values import JSON, dumps

# Soft hyphens, zero-width characters, direction marks, byte order marks: nobody sees them.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `learn` marks assistant messages that the adapter is trained to write.

    `extra` is what a template may read besides: `tool_calls`, `tool_call_id`, `name`, `reasoning_content`, as
    serving gives them to it.
    """

    role: str
    content: str
    learn: bool = False
    extra: Mapping[str, JSON] = field(default_factory=dict, hash=False)

    @property
    def called(self) -> tuple[str, ...]:
        """The names of the tools that it calls."""
        return tuple(map(_name_of, _objects(self.extra.get("tool_calls"))))

    def said(self) -> str:
        """Everything that is said in it, as one text to compare."""
        return f"{self.content}\0{dumps(self.extra).decode()}" if self.extra else self.content


@dataclass(frozen=True, slots=True)
class Row:
    """One example: the turns of a conversation, and the line it came from.

    `raw` rows are a prompt and a completion that are joined as they are, with no chat template; their two
    turns have the roles `user` and `assistant`. A raw row of one turn is a text that is learnt whole.
    `slice` is the kind of case that it is, for figures of each kind; empty where the file does not say.
    `tools` are JSON schemas that the template writes out.
    """

    source: str
    line: int
    turns: tuple[Turn, ...]
    raw: bool
    slice: str = ""
    tools: tuple[Mapping[str, JSON], ...] = field(default=(), hash=False)

    @property
    def prompt(self) -> tuple[Turn, ...]:
        """What comes before the last answer, if any: what the model is given when this row is scored."""
        return self.turns[:-1] if self.turns[-1].role == "assistant" else self.turns

    @property
    def tool_names(self) -> tuple[str, ...]:
        """The names of the tools that may be called."""
        return tuple(map(_name_of, self.tools))

    @property
    def answer(self) -> str:
        """The last assistant message; empty where a prompt awaits its answer."""
        return self.turns[-1].content if self.turns[-1].role == "assistant" else ""

    @property
    def system(self) -> str:
        """The system prompt, empty if there is none."""
        return self.turns[0].content if self.turns[0].role == "system" else ""

    @property
    def talk(self) -> tuple[Turn, ...]:
        """The turns without the system prompt."""
        return self.turns[1:] if self.turns[0].role == "system" else self.turns

    def without_learning(self, turns: frozenset[int]) -> "Row":
        """The same row, of whose answers those at the indices `turns` are neither learnt nor scored."""
        kept = [replace(turn, learn=False) if at in turns else turn for at, turn in enumerate(self.turns)]
        return replace(self, turns=tuple(kept))

    def prompt_key(self) -> bytes:
        """Bytes that are equal for prompts which differ only in case, spacing or Unicode form."""
        return dumps([self.raw, *([turn.role, normalised(turn.said())] for turn in self.prompt)])

    def content_key(self) -> bytes:
        """Bytes that are equal for rows which teach exactly the same."""
        return dumps([self.raw, *([turn.role, turn.said(), turn.learn] for turn in self.turns)])


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """Two answers to one prompt, the better and the worse: equal but for their last turns, which learn."""

    chosen: Row
    rejected: Row

    @property
    def row(self) -> Row:
        """The row that it is checked and split as."""
        return self.chosen


@dataclass(frozen=True, slots=True)
class UnpairedRow:
    """An answer that is judged `good` or not."""

    row: Row
    good: bool


@dataclass(frozen=True, slots=True)
class PromptRow:
    """A prompt to answer; `fields` are the row's other values, which graders compare the answer with.

    The `row` has no answer: its last turn is the user's.
    """

    row: Row
    fields: Mapping[str, JSON] = field(default_factory=dict, hash=False)


Example = Row | PreferenceRow | UnpairedRow | PromptRow


def row_of(example: Example) -> Row:
    """The row that an example of any kind is checked and split as."""
    return example if isinstance(example, Row) else example.row


def normalised(text: str) -> str:
    """`text` without what a reader does not see: case, spacing, Unicode's forms, invisible characters."""
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def _objects(value: JSON) -> list[Mapping[str, JSON]]:
    found = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return [each for each in found if isinstance(each, Mapping)]


def _name_of(tool: Mapping[str, JSON]) -> str:
    """The name of a tool, or of the one that a call is to."""
    function = tool.get("function")
    return str((function if isinstance(function, Mapping) else tool).get("name") or "")
