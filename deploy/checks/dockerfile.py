"""Reads a Dockerfile into stages and steps, as far as ours uses the language."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_FROM = re.compile(r"^(\S+)(?:\s+AS\s+(\S+))?$", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: its word in capitals, and the rest with continued lines joined."""

    word: str
    text: str


@dataclass(slots=True)
class Stage:
    """One `FROM base AS name` and the steps that follow."""

    name: str
    base: str
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """The stages in the order in which they stand."""

    stages: list[Stage]

    @property
    def names(self) -> list[str]:
        """What the stages are called."""
        return [stage.name for stage in self.stages]

    def stage(self, name: str) -> Stage:
        """The stage of that name; raises KeyError."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)

    def lineage(self, name: str) -> list[Stage]:
        """The stages that a stage is built on, the first of them first, and itself."""
        stage = self.stage(name)
        return [*(self.lineage(stage.base) if stage.base in self.names else []), stage]


def read_dockerfile(path: Path) -> Dockerfile:
    """The stages of the file; arguments before the first stage are filled in with their defaults."""
    stages: list[Stage] = []
    defaults: dict[str, str] = {}
    for step in _steps(path.read_text("utf-8")):
        if step.word == "FROM":
            base, name = _from(fill(step.text, defaults))
            stages.append(Stage(name, base))
        elif stages:
            stages[-1].steps.append(step)
        elif step.word == "ARG":
            name, _, value = step.text.partition("=")
            defaults[name] = value
    return Dockerfile(stages)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replaces `${NAME}` by its value; what has none is left as it is."""
    return _VARIABLE.sub(lambda found: values.get(found[1], found[0]), text)


def _from(text: str) -> tuple[str, str]:
    found = _FROM.match(text)
    if found is None:
        raise ValueError(f"FROM {text}: not understood")
    return found[1], found[2] or found[1]


def _steps(text: str) -> list[Step]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    steps = []
    for line in joined.splitlines():
        word, _, rest = line.strip().partition(" ")
        steps.append(Step(word.upper(), rest.strip()))
    return steps
