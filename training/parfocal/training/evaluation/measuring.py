"""Asks every arm for every row in one mixed batch: how likely the true answer is, and what it writes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from parfocal.engine import AdapterKey, Completion, Request
from parfocal.training.data import BaseEncoder, Sample, prompt_ids
from parfocal.training.evaluation.asking import (
    TOP,
    divergence,
    learnt_places,
    room_for,
    row_score,
    scoring,
    writing,
    written,
)
from parfocal.training.evaluation.served_base import Progress, ServedBase
from parfocal.training.figures import Arm, Measured, PairOfTexts, ProbeText, RowScore, Written

Take = Callable[[Sequence[Completion]], None]


@dataclass(frozen=True, slots=True)
class ArmRows:
    """One arm with the rows as it reads them. `key` None is the base."""

    arm: Arm
    key: AdapterKey | None
    encoder: BaseEncoder
    samples: tuple[Sample, ...]


class Batch:
    """Requests of several purposes, asked together: each purpose takes its own replies."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._takers: list[tuple[int, int, Take]] = []

    def add(self, requests: Sequence[Request], take: Take) -> None:
        """Adds the requests of one purpose."""
        self._takers.append((len(self._requests), len(requests), take))
        self._requests += requests

    def run(self, served: ServedBase, progress: Progress | None = None) -> None:
        """Asks all, and hands out the replies; raises EngineError."""
        replies = served.ask(self._requests, progress)
        for start, count, take in self._takers:
            take(replies[start : start + count])


def add_rows(batch: Batch, served: ServedBase, one: ArmRows, answers: int) -> Callable[[], Measured]:
    """Adds an arm's rows, of which the first `answers` are answered; what it returns tells how it did."""
    scores: list[RowScore] = []
    places = [learnt_places(sample) for sample in one.samples]
    batch.add(
        [scoring(sample.ids, one.key) for sample in one.samples],
        lambda replies: scores.extend(map(row_score, replies, places)),
    )
    asked = one.samples[:answers]
    prompts = [prompt_ids(sample.row, one.encoder) for sample in asked]
    wrote = add_writing(batch, served, one, prompts, room_for(asked) if asked else 0)
    return lambda: replace(wrote(), scores=tuple(scores))


def add_writing(
    batch: Batch, served: ServedBase, one: ArmRows, prompts: Sequence[Sequence[int]], most: int
) -> Callable[[], Measured]:
    """Adds prompts to answer in at most so many tokens; what it returns tells what was written, in order."""
    texts: dict[int, Written] = {}
    # Serving refuses a prompt that leaves no room: no answer is none.
    fitting = [at for at, prompt in enumerate(prompts) if len(prompt) < served.context]
    batch.add(
        [writing(prompts[at], one.key, most) for at in fitting],
        lambda replies: texts.update(zip(fitting, map(written, replies), strict=True)),
    )

    def measured() -> Measured:
        told = (texts.get(at, Written("", 0, len(prompt), False)) for at, prompt in enumerate(prompts))
        return Measured(one.arm, (), tuple(told))

    return measured


def add_scores(batch: Batch, one: ArmRows, samples: Sequence[Sample]) -> list[RowScore]:
    """Adds rows of which only the scores are wanted; the list is filled when the batch has run."""
    scores: list[RowScore] = []
    places = [learnt_places(sample) for sample in samples]
    batch.add(
        [scoring(sample.ids, one.key) for sample in samples],
        lambda replies: scores.extend(map(row_score, replies, places)),
    )
    return scores


class ProbeAnswers:
    """What one arm makes of the packaged probes."""

    def __init__(self) -> None:
        self.texts: list[RowScore] = []
        self.replies: list[Completion] = []
        self.odds: list[float] = []

    def divergences(self, base: "ProbeAnswers") -> list[float]:
        """The KL divergence from the base on each general text."""
        return [divergence(mine, theirs) for mine, theirs in zip(self.replies, base.replies, strict=True)]


def add_probes(
    batch: Batch,
    served: ServedBase,
    one: ArmRows,
    texts: Sequence[ProbeText],
    pairs: Sequence[PairOfTexts],
) -> ProbeAnswers:
    """Adds general texts and pairs; what it returns is filled when the batch has run."""
    found = ProbeAnswers()

    def take_texts(replies: Sequence[Completion]) -> None:
        found.replies.extend(replies)
        found.texts.extend(row_score(reply, range(1, len(reply.prompt_logprobs))) for reply in replies)

    ids = [one.encoder.encode(text.text, special=True)[: served.context] for text in texts]
    batch.add([scoring(each, one.key, TOP) for each in ids], take_texts)
    both: list[tuple[list[int], int]] = []
    for pair in pairs:
        prompt = one.encoder.encode(pair.prompt, special=True)
        for way in (pair.first, pair.second):
            both.append((prompt + one.encoder.encode(way, special=False), len(prompt)))

    def take_pairs(replies: Sequence[Completion]) -> None:
        losses = [
            row_score(reply, range(start, len(whole))).loss
            for reply, (whole, start) in zip(replies, both, strict=True)
        ]
        found.odds.extend(second - first for first, second in zip(losses[::2], losses[1::2], strict=True))

    batch.add([scoring(whole, one.key) for whole, _ in both], take_pairs)
    return found
