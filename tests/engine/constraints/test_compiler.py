"""Constraints are compiled once, off the event loop, and neither too many at a time nor kept for ever."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from fakes.engine.constraints import Listed
from parfocal.engine import ConstraintRefused, QueueFull
from parfocal.engine.constraints import (
    Choice,
    CompilerLimits,
    Constraint,
    ConstraintCompiler,
    ConstraintSpec,
    Regex,
)


@dataclass
class SlowBuilder:
    """Builds when it is let; remembers what it was asked for."""

    gate: threading.Event = field(default_factory=threading.Event)
    built: list[ConstraintSpec] = field(default_factory=list)
    is_closed: bool = False

    def prepare(self) -> None:
        """Does nothing."""

    def build(self, spec: ConstraintSpec) -> Constraint:
        """Builds a constraint, or refuses what is bad."""
        self.built.append(spec)
        assert self.gate.wait(10)
        if spec == Regex("bad"):
            raise ConstraintRefused("bad")
        return Listed(((1,),), 32)

    def close(self) -> None:
        """Remembers it."""
        self.is_closed = True


def run(act: Callable[[ConstraintCompiler, SlowBuilder], object], **limits: int) -> SlowBuilder:
    """Runs a coroutine with a compiler whose builder is let from the start."""
    builder = SlowBuilder()
    compiler = ConstraintCompiler(builder, CompilerLimits(**limits))
    try:
        asyncio.run(act(compiler, builder))  # type: ignore[arg-type]
    finally:
        builder.gate.set()
        compiler.close()
    assert builder.is_closed
    return builder


def test_equal_specs_share_one_constraint_also_while_it_is_compiled() -> None:
    async def act(compiler: ConstraintCompiler, builder: SlowBuilder) -> None:
        both = [asyncio.ensure_future(compiler.compile(Choice(("a",)))) for _ in range(2)]
        await asyncio.sleep(0)
        builder.gate.set()
        first, second = await asyncio.gather(*both)
        assert first is second is await compiler.compile(Choice(("a",)))

    assert run(act).built == [Choice(("a",))]


def test_who_gives_up_does_not_take_the_constraint_from_who_waits() -> None:
    async def act(compiler: ConstraintCompiler, builder: SlowBuilder) -> None:
        leaver, stayer = (asyncio.ensure_future(compiler.compile(Choice(("a",)))) for _ in range(2))
        await asyncio.sleep(0)
        leaver.cancel()
        await asyncio.sleep(0)
        builder.gate.set()
        assert (await stayer).vocabulary == 32

    run(act)


def test_a_refusal_is_not_kept() -> None:
    async def act(compiler: ConstraintCompiler, builder: SlowBuilder) -> None:
        builder.gate.set()
        for _ in range(2):
            with pytest.raises(ConstraintRefused):
                await compiler.compile(Regex("bad"))

    assert len(run(act).built) == 2


def test_more_than_may_wait_are_told_to_come_again() -> None:
    async def act(compiler: ConstraintCompiler, builder: SlowBuilder) -> None:
        waiting = [asyncio.ensure_future(compiler.compile(Regex(each))) for each in "ab"]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="2 constraints wait to be compiled and the limit is 2"):
            await compiler.compile(Regex("c"))
        builder.gate.set()
        await asyncio.gather(*waiting)

    run(act, waiting=2)


@pytest.mark.parametrize("limits", [{"kept": 2}, {"kept_characters": 2 * len(repr(Regex("a")))}])
def test_what_was_used_longest_ago_is_forgotten(limits: dict[str, int]) -> None:
    async def act(compiler: ConstraintCompiler, builder: SlowBuilder) -> None:
        builder.gate.set()
        for each in "abacab":
            await compiler.compile(Regex(each))

    assert [each.pattern for each in run(act, **limits).built if isinstance(each, Regex)] == [*"abcb"]


def test_a_constraint_that_is_spent_is_compiled_anew() -> None:
    async def act(compiler: ConstraintCompiler, builder: SlowBuilder) -> None:
        builder.gate.set()
        first = await compiler.compile(Regex("a"))
        assert isinstance(first, Listed)
        first.is_spent = True
        assert await compiler.compile(Regex("a")) is not first

    assert len(run(act).built) == 2
