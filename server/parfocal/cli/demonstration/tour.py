"""The demo's acts, in order. Each builds on the one before; all talk to the server over gRPC."""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parfocal.cli.demonstration.conversation import Answer, Ask, server
from parfocal.cli.demonstration.figures import Metrics, summary
from parfocal.cli.demonstration.hints import Kept, command_as_typed, hints
from parfocal.cli.demonstration.lessons import MEMO, SUPPORT, Lesson, Lessons, learn, rows_of
from parfocal.cli.demonstration.stage import Stage
from parfocal.cli.demonstration.watching import StepBar
from parfocal.training.examples import Row

ALIAS = "prod"


class Tour:
    """One visit, in an empty `folder`. `bar` shows the progress of the training runs."""

    def __init__(self, stage: Stage, folder: Path, bar: StepBar, lessons: Lessons) -> None:
        self._stage = stage
        self._folder = folder
        self._registry = str(folder / "registry")
        self._bar = bar
        self._support, self._memo = lessons.support, lessons.memo
        self._revised_memo = lessons.revised_memo

    def train(self) -> None:
        """Act 1: two adapters learn two jobs on one base, and are published."""
        self._stage.act(
            "Train two adapters",
            "One small 4-bit base, `tiny`, ships with Parfocal. Each adapter learns its own job from "
            "a few thousand examples, is measured against the base on held-out rows, and is published.",
        )
        for lesson in (self._support, self._memo):
            self._learn(lesson, self._registry)

    def mix(self, address: str) -> None:
        """Act 2: twelve requests at once, both adapters and the base in the same batches."""
        self._stage.act(
            "Serve both, in one batch",
            "Twelve gRPC requests at once: four to each adapter, four to the bare base. The server computes "
            "them together; every row gets its own adapter.",
        )
        mails = self._support.data.held_out[:4]
        notes = self._memo.data.held_out[:4]
        asks = [Ask(f"{SUPPORT}@{ALIAS}", row["prompt"]) for row in mails]
        asks += [Ask(f"{MEMO}@{ALIAS}", row["prompt"]) for row in notes]
        asks += [Ask("", row["prompt"]) for row in (*mails[:2], *notes[:2])]
        begun = time.monotonic()
        answers = asyncio.run(self._open_and_ask(address, asks))
        seconds = time.monotonic() - begun
        for adapter, base, name in ((0, 8, SUPPORT), (4, 10, MEMO)):
            question = answers[adapter].ask.message
            self._stage.side_by_side(question, answers[base].text, answers[adapter].text, name)
        tokens = sum(answer.tokens for answer in answers)
        self._stage.say(
            f"12 answers, {tokens} tokens, {seconds:.1f} s: {tokens / seconds:.0f} tokens a second together."
        )

    def score(self, address: str) -> list["ExactMatches"]:
        """Act 3: held-out exact match of base and adapter, through the server."""
        self._stage.act(
            "Measure on what they have not seen",
            "Held-out messages, greedy answers, counted right only if every character is. New wording means "
            "sentences that training never showed.",
        )
        scores = [asyncio.run(_score(address, lesson)) for lesson in (self._support, self._memo)]
        rows = [
            (s.name, f"{s.base:.0%}", f"{s.adapter:.0%}", f"{s.new_wording:.0%}", str(s.rows)) for s in scores
        ]
        self._stage.table(("adapter", "base", "adapter", "adapter, new wording", "messages each"), rows)
        return scores

    def swap(self, address: str) -> bool:
        """Act 4: a second version is published and takes over while requests run; True if it went so."""
        self._stage.act(
            "Swap without a stall",
            f"Version 2 of {MEMO} learns a new house style and is published to the running server. Then "
            f"{ALIAS} moves from 1 to 2 while six requests are being answered: they finish on version 1, "
            "the next six run on version 2.",
        )
        self._learn(self._revised_memo, f"grpc://{address}")
        asks = [Ask(f"{MEMO}@{ALIAS}", row["prompt"]) for row in self._memo.data.held_out[4:16]]
        old, new = asyncio.run(_swap(address, asks))
        rows = [("before the move", str(a.version), *_style(a)) for a in old]
        rows += [("after the move", str(a.version), *_style(a)) for a in new]
        self._stage.table(("request sent", "version", "heading", "closing line"), rows)
        return {a.version for a in old} == {1} and {a.version for a in new} == {2}

    def watch_metrics(self, url: str) -> None:
        """Act 5: what an operator sees."""
        self._stage.act("Watch it", f"Prometheus reads {url}; a few of the figures:")
        self._stage.table(("figure", "value"), summary(Metrics(url)))

    def farewell(self) -> None:
        """Ends with what to try next."""
        self._stage.act("Try it yourself", "Everything is kept. Serve it again, and talk to it:")
        kept = Kept(
            folder=self._folder,
            registry=self._registry,
            rows=rows_of(self._memo, self._folder),
            adapter=MEMO,
            alias=ALIAS,
            message=self._memo.data.held_out[0]["prompt"],
        )
        self._stage.commands(hints(kept, command_as_typed(sys.argv[0])))

    def point_aliases(self, address: str) -> None:
        """Points `prod` of both adapters at their first version."""
        asyncio.run(_point(address, (SUPPORT, MEMO)))

    def _learn(self, lesson: Lesson, registry: str) -> None:
        self._stage.say(f"\n{lesson.name}: {lesson.title}", style="bold")
        with self._bar as watcher:
            result = learn(lesson, self._folder, registry, watcher)
        self._stage.say(
            f"{result.steps} steps in {result.seconds:.0f} s; held-out loss {result.base.loss:.2f} (base) → "
            f"{result.adapter.loss:.2f}; published as {result.name}@{result.version}"
        )

    async def _open_and_ask(self, address: str, asks: Sequence[Ask]) -> list[Answer]:
        async with server(address) as connection:
            return await connection.ask(asks)


@dataclass(frozen=True, slots=True)
class ExactMatches:
    """Shares of held-out answers that are right in every character."""

    name: str
    base: float
    adapter: float
    new_wording: float
    rows: int


async def _score(address: str, lesson: Lesson) -> ExactMatches:
    held_out, new = lesson.data.held_out, lesson.data.new_wording
    reference = f"{lesson.name}@{ALIAS}"
    return ExactMatches(
        lesson.name,
        base=await _exact(address, "", held_out),
        adapter=await _exact(address, reference, held_out),
        new_wording=await _exact(address, reference, new),
        rows=len(held_out),
    )


async def _exact(address: str, reference: str, rows: Sequence[Row]) -> float:
    async with server(address) as connection:
        answers = await connection.ask([Ask(reference, row["prompt"]) for row in rows])
    right = sum(a.text.strip() == row["completion"] for a, row in zip(answers, rows, strict=True))
    return right / len(rows)


async def _point(address: str, names: Sequence[str]) -> None:
    async with server(address) as connection:
        for name in names:
            await connection.point(name, ALIAS, version=1, expected=0)


async def _swap(address: str, asks: Sequence[Ask]) -> tuple[list[Answer], list[Answer]]:
    half = len(asks) // 2
    async with server(address) as connection:
        return await connection.ask_around(
            asks[:half], lambda: connection.point(MEMO, ALIAS, version=2, expected=1), asks[half:]
        )


def _style(answer: Answer) -> tuple[str, str]:
    lines = answer.text.strip().splitlines() or [""]
    return lines[0], lines[-1]
