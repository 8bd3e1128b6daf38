"""One training example, in whichever format it was written. Knows no tokens and no files."""

import unicodedata
from dataclasses import dataclass

from parfocal.registry.values import dumps


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
    turns have the roles `user` and `assistant`.
    """

    source: str
    line: int
    turns: tuple[Turn, ...]
    raw: bool

    @property
    def prompt(self) -> tuple[Turn, ...]:
        """What comes before the last answer: what the model is given when this row is scored."""
        return self.turns[:-1]

    @property
    def answer(self) -> str:
        """The last assistant message."""
        return self.turns[-1].content

    def prompt_key(self) -> bytes:
        """Returns bytes that are equal for prompts which differ only in case, spacing or Unicode form."""
        return dumps([self.raw, *([turn.role, _normalised(turn.content)] for turn in self.prompt)])

    def content_key(self) -> bytes:
        """Returns bytes that are equal for rows which teach exactly the same."""
        return dumps([self.raw, *([turn.role, turn.content, turn.learn] for turn in self.turns)])


def _normalised(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
