"""Reads the wording of everyday scenes from scenes.toml beside this file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Fact:
    """A kind of value, and sentences in which `{v}` stands for it."""

    kind: str
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """A fact that is true or false: a question about it, and sentences that mean yes or no."""

    name: str
    question: str
    yes: tuple[str, ...]
    no: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A topic and the facts, by name, that a text about it states."""

    topic: str
    facts: Mapping[str, Fact]


@cache
def patterns() -> tuple[Pattern, ...]:
    """All scenes in the order of the file."""
    return tuple(
        Pattern(
            scene["topic"],
            {name: Fact(fact["kind"], tuple(fact["said"])) for name, fact in scene["facts"].items()},
        )
        for scene in _wording()["scene"]
    )


@cache
def flags() -> tuple[Flag, ...]:
    """All true-or-false facts in the order of the file."""
    return tuple(
        Flag(name, flag["question"], tuple(flag["yes"]), tuple(flag["no"]))
        for name, flag in _wording()["flag"].items()
    )


def _wording() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("scenes.toml").read_text(encoding="utf-8"))
