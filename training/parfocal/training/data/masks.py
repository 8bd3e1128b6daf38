"""Rows as the loss sees them: which tokens are learnt, which are only read, and which are cut off."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from parfocal.registry.values import JSON
from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.rendering import MASKED, Sample, prompt_ids, render
from parfocal.training.data.rows import Example, PreferenceRow, PromptRow, Row, row_of


class State(Enum):
    """What the loss does with a token."""

    READ = "read"
    LEARNT = "learnt"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring tokens of one state, and the text that they spell, special tokens included."""

    state: State
    ids: tuple[int, ...]
    text: str


@dataclass(frozen=True, slots=True)
class MaskedRow:
    """One row in tokens. `part` says which of several texts of a row it is; empty where there is one.

    `answers` are the texts of the turns that are to be learnt.
    """

    source: str
    line: int
    part: str
    stretches: tuple[Stretch, ...]
    answers: tuple[str, ...]

    def count(self, state: State) -> int:
        """How many tokens are in a state."""
        return sum(len(each.ids) for each in self.stretches if each.state is state)

    def beside(self) -> tuple[str, ...]:
        """What is learnt besides the answers' own words, such as the token that ends them; each once.

        Where an answer is cut, its rest is not missing here. An empty tuple proves that nothing but the
        answers is learnt.
        """
        learnt = [each.text for each in self.stretches if each.state is State.LEARNT]
        left: dict[str, None] = {}
        answers = [answer for answer in self.answers if answer.strip()]
        for text in learnt:
            rest = text
            while answers and answers[0].strip() in rest:
                rest = rest.replace(answers.pop(0).strip(), "\0", 1)
            if answers and rest == text and answers[0].strip().startswith(text.strip()):
                rest = ""  # the beginning of an answer that is cut
            for word in rest.split("\0"):
                if word.strip():
                    left[word.strip()] = None
        return tuple(left)

    def to_json(self) -> dict[str, JSON]:
        """The row as a document has it."""
        return {
            "source": self.source,
            "line": self.line,
            "part": self.part,
            "tokens": {state.value: self.count(state) for state in State},
            "learnt_beside_answers": list(self.beside()),
            "stretches": [
                {"state": each.state.value, "ids": list(each.ids), "text": each.text}
                for each in self.stretches
            ],
        }


def masked(example: Example, encoder: BaseEncoder, max_length: int | None = None) -> tuple[MaskedRow, ...]:
    """An example in tokens, marked as training takes them, cut to `max_length`; raises RenderFault.

    A preference is two rows, chosen and rejected; of a prompt nothing is learnt.
    """
    if isinstance(example, PreferenceRow):
        parts = (("chosen", example.chosen), ("rejected", example.rejected))
        return tuple(_masked(render(row, encoder), part, encoder, max_length) for part, row in parts)
    row = row_of(example)
    if isinstance(example, PromptRow):
        ids = prompt_ids(row, encoder)
        return (_stretched(row, "", ids, [MASKED] * len(ids), (encoder, max_length)),)
    return (_masked(render(row, encoder), "", encoder, max_length),)


def _masked(sample: Sample, part: str, encoder: BaseEncoder, max_length: int | None) -> MaskedRow:
    return _stretched(sample.row, part, sample.ids, sample.labels, (encoder, max_length))


def _stretched(
    row: Row,
    part: str,
    ids: Sequence[int],
    labels: Sequence[int],
    how: tuple[BaseEncoder, int | None],
) -> MaskedRow:
    encoder, max_length = how
    states = _states(labels, len(ids) if max_length is None else max_length)
    stretches = []
    for state, group in groupby(zip(states, ids, strict=True), key=lambda pair: pair[0]):
        run = tuple(token for _, token in group)
        stretches.append(Stretch(state, run, encoder.spell(run)))
    answers = tuple(turn.content for turn in row.turns if turn.learn)
    return MaskedRow(row.source, row.line, part, tuple(stretches), answers)


def _states(labels: Sequence[int], kept: int) -> Iterator[State]:
    """Nothing predicts a row's first token, so it is read even in a text that is learnt whole."""
    for at, label in enumerate(labels):
        if at >= kept:
            yield State.CUT
        else:
            yield State.READ if at == 0 or label == MASKED else State.LEARNT
