"""How much a run computes, from its rows in the order they will be learnt. Counts only."""

from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.training.data import MASKED, Sample


@dataclass(frozen=True, slots=True)
class Work:
    """Tokens of one run of `steps` steps, and of the forward pass that needs the most memory.

    tokens: of the rows; computed: with padding; learnt: those that the loss is of. passes: forward passes.
    rows, length: of the largest pass, padded; columns: of its tokens, in each row, from the first learnt one
    on; answers: learnt tokens in it. watched: tokens of the rows that are scored on the way, with padding.
    """

    steps: int
    tokens: int
    computed: int
    learnt: int
    passes: int
    rows: int
    length: int
    columns: int
    answers: int
    watched: int

    def to_json(self) -> dict[str, int]:
        """The counts by name."""
        return {name: getattr(self, name) for name in self.__slots__}


def work_of(
    samples: Sequence[Sample], watched: Sequence[Sample], order: Sequence[int], micro_batch: int, steps: int
) -> Work:
    """The work of `samples` in `order`, `micro_batch` to a pass; the longest row is in the first."""
    lengths = [len(sample.ids) for sample in samples]
    learnt = [sample.learnt for sample in samples]
    chunks = [order[at : at + micro_batch] for at in range(0, len(order), micro_batch)]
    sizes = [len(chunk) * max(lengths[index] for index in chunk) for chunk in chunks]
    largest = chunks[max(range(len(chunks)), key=sizes.__getitem__)]
    length = max(lengths[index] for index in largest)
    return Work(
        steps=steps,
        tokens=sum(lengths[index] for index in order),
        computed=sum(sizes),
        learnt=sum(learnt[index] for index in order),
        passes=len(chunks),
        rows=len(largest),
        length=length,
        columns=length - min(_first_learnt(samples[index]) for index in largest),
        answers=sum(learnt[index] for index in largest),
        watched=_padded(watched, micro_batch),
    )


def _first_learnt(sample: Sample) -> int:
    labels = sample.labels.tolist()
    return next((at for at, label in enumerate(labels) if label != MASKED), len(labels))


def _padded(samples: Sequence[Sample], micro_batch: int) -> int:
    lengths = sorted(len(sample.ids) for sample in samples)
    chunks = [lengths[at : at + micro_batch] for at in range(0, len(lengths), micro_batch)]
    return sum(len(chunk) * chunk[-1] for chunk in chunks)
