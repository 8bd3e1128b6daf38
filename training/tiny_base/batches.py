"""An endless, resumable stream of padded batches of similar length."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from tiny_base.encoding import Encoded, Encoder
from tiny_base.settings import Settings
from tiny_base.tasks.corpus import documents
from tiny_base.writing.source import Source

POOL = 512
LONGEST = 1024
# Until which pool, what share of the documents is plain copying.
_CURRICULUM = ((12, 0.6), (28, 0.3))


@dataclass(frozen=True, slots=True)
class Batch:
    """`tokens [rows, length]` padded to the right with 0, and their `weights` in the loss."""

    tokens: Tensor
    weights: Tensor


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream stands: the pool of documents, and the next batch within it."""

    pool: int = 0
    batch: int = 0


class BatchStream:
    """Makes pools of fresh documents, each from its own seed, and cuts them into batches."""

    def __init__(self, encoder: Encoder, settings: Settings, place: Place | None = None) -> None:
        """Starts at `place`."""
        self._encoder = encoder
        self._settings = settings
        self.place = place or Place()

    def __iter__(self) -> Iterator[Batch]:
        """Yields batches without end; `place` names the one after the last yielded."""
        while True:
            batches = self._pool(self.place.pool)
            for number in range(self.place.batch, len(batches)):
                last = number + 1 == len(batches)
                self.place = Place(self.place.pool + 1) if last else Place(self.place.pool, number + 1)
                yield batches[number]

    def _pool(self, number: int) -> list[Batch]:
        pieces = self._encoder.word_pieces if number >= self._settings.polish_pool else ()
        source = Source(f"{self._settings.seed}/pool {number}", pieces=pieces)
        early = next((share for until, share in _CURRICULUM if number < until), 0.0)
        encoded = [
            self._encoder.encode(document, source) for document in islice(documents(source, early), POOL)
        ]
        short = sorted(
            (each for each in encoded if len(each.tokens) <= LONGEST), key=lambda each: len(each.tokens)
        )
        return source.shuffled([padded(rows) for rows in _cut(short, self._settings.batch_tokens)])


def padded(rows: list[Encoded]) -> Batch:
    """The rows as one batch as long as its longest row, rounded up to a multiple of 8."""
    length = (max(len(row.tokens) for row in rows) + 7) // 8 * 8
    tokens = torch.zeros(len(rows), length, dtype=torch.long)
    weights = torch.zeros(len(rows), length)
    for place, row in enumerate(rows):
        tokens[place, : len(row.tokens)] = torch.tensor(row.tokens)
        weights[place, : len(row.weights)] = torch.tensor(row.weights)
    return Batch(tokens, weights)


def _cut(rows: list[Encoded], batch_tokens: int) -> Iterator[list[Encoded]]:
    """Yields runs of length-sorted rows whose padded size stays within `batch_tokens`."""
    taken: list[Encoded] = []
    for row in rows:
        if taken and (len(taken) + 1) * len(row.tokens) > batch_tokens:
            yield taken
            taken = []
        taken.append(row)
    if taken:
        yield taken
