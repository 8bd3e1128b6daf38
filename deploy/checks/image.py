"""What a container of an image starts with, as the Dockerfile's steps leave it."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from checks.dockerfile import Stage, Step

_OF_BUILDING = {"ARG", "COPY", "EXPOSE", "LABEL", "RUN", "STOPSIGNAL"}


class StepUnknown(Exception):
    """A step uses an instruction that is not understood here."""


@dataclass(frozen=True, slots=True)
class Image:
    """User as `uid:gid`, commands as lists of words."""

    environment: tuple[tuple[str, str], ...] = ()
    user: str = "0:0"
    folder: str = "/"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    health: tuple[str, ...] = ()

    @property
    def variables(self) -> list[str]:
        """The environment as `NAME=value`, each name once."""
        return [f"{name}={value}" for name, value in dict(self.environment).items()]


def image_of(stages: Sequence[Stage]) -> Image:
    """The image that a stage and those that it is built on make; raises StepUnknown."""
    image = Image()
    for step in (step for stage in stages for step in stage.steps):
        if step.word not in _OF_BUILDING:
            image = replace(image, **_changes(image, step))
    return image


def _changes(image: Image, step: Step) -> dict[str, Any]:
    match step.word:
        case "ENV":
            pairs = (word.partition("=") for word in shlex.split(step.text))
            return {"environment": (*image.environment, *((name, value) for name, _, value in pairs))}
        case "USER":
            return {"user": step.text}
        case "WORKDIR":
            return {"folder": step.text}
        case "ENTRYPOINT":
            return {"entrypoint": tuple(json.loads(step.text))}
        case "CMD":
            return {"command": tuple(json.loads(step.text))}
        case "HEALTHCHECK":
            words = step.text.partition("CMD")[2]
            return {"health": tuple(json.loads(words)) if words else ()}
    raise StepUnknown(f"{step.word} {step.text}: this instruction is not understood")
