"""Measures a network on documents that it was not trained on, in new or in known wording."""

from dataclasses import dataclass
from itertools import islice

import torch

from tiny_base.batches import LONGEST, padded
from tiny_base.encoding import Encoded, Encoder
from tiny_base.network import Network
from tiny_base.tasks.corpus import documents
from tiny_base.writing.source import Source

_SEED = 2_000_003
_ROWS = 16


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Results: mean loss in nats per answer token, and how much a greedy reader gets right."""

    loss: float
    token_accuracy: float
    exact: float
    documents: int


def measure(network: Network, encoder: Encoder, count: int, held_out: bool) -> dict[str, ProbeResult]:
    """The score of each task, and of `all`, over `count` fresh documents.

    Held out means names, requests and wordings that training never draws; else only the draws are new.
    `exact` is the share with every answer token right, each predicted from the true ones before it.
    """
    source = Source(_SEED, held_out)
    rows: dict[str, list[Encoded]] = {}
    for document in islice(documents(source), count):
        encoded = encoder.encode(document)
        if len(encoded.tokens) <= LONGEST:
            rows.setdefault(document.task, []).append(encoded)
    tallies = {task: _tally(network, found) for task, found in sorted(rows.items())}
    everything = _Tally(
        *(sum(column) for column in zip(*(_columns(each) for each in tallies.values()), strict=True))
    )
    return {"all": everything.score(), **{task: tally.score() for task, tally in tallies.items()}}


@dataclass(frozen=True, slots=True)
class _Tally:
    loss: float
    tokens: float
    right: float
    exact: float
    documents: float

    def score(self) -> ProbeResult:
        tokens, count = max(1.0, self.tokens), max(1.0, self.documents)
        return ProbeResult(self.loss / tokens, self.right / tokens, self.exact / count, int(self.documents))


def _columns(tally: _Tally) -> tuple[float, ...]:
    return tally.loss, tally.tokens, tally.right, tally.exact, tally.documents


@torch.no_grad()
def _tally(network: Network, rows: list[Encoded]) -> _Tally:
    loss = tokens = right = exact = 0.0
    rows = sorted(rows, key=lambda row: len(row.tokens))
    for start in range(0, len(rows), _ROWS):
        batch = padded(rows[start : start + _ROWS])
        scores = network.logits(network.hidden_states(batch.tokens)[:, :-1])
        wanted, counted = batch.tokens[:, 1:], batch.weights[:, 1:] > 0
        loss += float(torch.nn.functional.cross_entropy(scores[counted], wanted[counted], reduction="sum"))
        correct = scores.argmax(-1) == wanted
        tokens += float(counted.sum())
        right += float((correct & counted).sum())
        exact += float((correct | ~counted).all(dim=1).sum())
    return _Tally(loss, tokens, right, exact, float(len(rows)))
