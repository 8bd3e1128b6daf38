"""One training example, in whichever format it was written. Knows no tokens and no files."""

import re
import unicodedata
from dataclasses import dataclass, replace

from parfocal.registry.values import dumps

# Soft hyphens, zero-width characters, direction marks, byte order marks: nobody sees them.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `learn` marks assistant messages that the adapter is trained to write."""

    role: str
    content: str
    learn: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One example: the turns of a conversation, and the line it came from.

    `raw` rows are a prompt and a completion that are joined as they are, with no chat template; their two
    turns have the roles `user` and `assistant`. `slice` is the kind of case that it is, for figures of each
    kind; empty where the file does not say.
    """

    source: str
    line: int
    turns: tuple[Turn, ...]
    raw: bool
    slice: str = ""

    @property
    def prompt(self) -> tuple[Turn, ...]:
        """What comes before the last answer: what the model is given when this row is scored."""
        return self.turns[:-1]

    @property
    def answer(self) -> str:
        """The last assistant message."""
        return self.turns[-1].content

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
        return dumps([self.raw, *([turn.role, normalised(turn.content)] for turn in self.prompt)])

    def content_key(self) -> bytes:
        """Bytes that are equal for rows which teach exactly the same."""
        return dumps([self.raw, *([turn.role, turn.content, turn.learn] for turn in self.turns)])


def normalised(text: str) -> str:
    """`text` without what a reader does not see: case, spacing, Unicode's forms, invisible characters."""
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())
