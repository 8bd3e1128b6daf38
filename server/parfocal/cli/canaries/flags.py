"""The flags of `parfocal alias` that begin a canary, and what they ask for together."""

from typing import Annotated

import typer

from parfocal.registry import CanaryPlan, Guard
from parfocal.registry.values.canaries import USUAL_SAMPLES

_USUAL_WEIGHT = 10.0
_NONE = "none"

CanaryOption = Annotated[
    int | None,
    typer.Option(
        "--canary",
        metavar="VERSION",
        min=1,
        help="Leave the alias where it points, and give some of its requests to this version.",
    ),
]
WeightOption = Annotated[
    float | None,
    typer.Option(
        "--weight", metavar="PERCENT", help=f"The canary's share of the requests. Default: {_USUAL_WEIGHT:g}."
    ),
]
AbortOnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--abort-on",
        metavar="METRIC[+MARGIN]",
        help="Abort the canary once it is worse, chance excluded, by more than MARGIN: errors (a share of "
        "the requests), ttft (time to the first token) or tokens (the length of answers), the last two "
        "relative, as ttft+20%. Given again, any of them. none: never. Default: errors.",
    ),
]
SamplesOption = Annotated[
    int | None,
    typer.Option(
        "--samples",
        metavar="NUMBER",
        min=1,
        help=f"Judge only after so many requests of each version. Default: {USUAL_SAMPLES}.",
    ),
]


def check_flags(
    canary: int | None, weight: float | None, abort_on: list[str] | None, samples: int | None
) -> None:
    """Raises BadParameter for flags that mean nothing without --canary."""
    if canary is None and (weight is not None or abort_on or samples is not None):
        raise typer.BadParameter("say which version, with --canary VERSION", param_hint="--canary")


def plan_of(
    version: int, weight: float | None, abort_on: list[str] | None, samples: int | None
) -> CanaryPlan:
    """The canary that the flags ask for; raises InvalidCanary."""
    words = abort_on or ["errors"]
    if _NONE in words and len(words) > 1:
        raise typer.BadParameter("none stands alone", param_hint="--abort-on")
    wanted = [] if words == [_NONE] else words
    guards = tuple(Guard.parse(word, samples or USUAL_SAMPLES) for word in wanted)
    percent = _USUAL_WEIGHT if weight is None else weight
    if not 0 < percent < 100:
        raise typer.BadParameter(
            f"{percent:g} % is no split; give more than 0 and less than 100", param_hint="--weight"
        )
    return CanaryPlan(version, round(percent * 100), guards)
