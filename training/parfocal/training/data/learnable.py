"""What the methods learn from, in tokens: an answer, a pair of answers, a judged answer, or a question."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from parfocal.registry.values import JSON
from parfocal.training.data.rendering import Sample
from parfocal.training.data.rows import Row


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt, of which the first is preferred."""

    chosen: Sample
    rejected: Sample

    @property
    def size(self) -> int:
        """The tokens of the longer one."""
        return max(self.chosen.size, self.rejected.size)

    @property
    def raw(self) -> bool:
        """Whether it was written without a chat template."""
        return self.chosen.raw

    def cut(self, tokens: int) -> "Pair":
        return Pair(self.chosen.cut(tokens), self.rejected.cut(tokens))


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer that is desirable, or is not."""

    answer: Sample
    desirable: bool

    @property
    def size(self) -> int:
        """The tokens of prompt and answer."""
        return self.answer.size

    @property
    def raw(self) -> bool:
        """Whether it was written without a chat template."""
        return self.answer.raw

    def cut(self, tokens: int) -> "Judged":
        return Judged(self.answer.cut(tokens), self.desirable)


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt as serving would get it, in tokens; `fields` and `row` are for whoever grades the answer."""

    source: str
    line: int
    ids: "array[int]"
    raw: bool
    fields: Mapping[str, JSON]
    row: Row | None = None

    @property
    def size(self) -> int:
        """The tokens of the prompt."""
        return len(self.ids)


Learnable = Sample | Pair | Judged | Question
