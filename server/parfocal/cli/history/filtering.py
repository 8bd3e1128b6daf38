"""The flags that narrow lists, and what they mean. Knows no list."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from parfocal.cli.history.times import seconds_in
from parfocal.registry import InvalidArgument
from parfocal.registry.values import MetricCondition, Span

ByOption = Annotated[
    str | None, typer.Option("--by", metavar="WHO", help="Only what they published, or moved.")
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="WHEN",
        help="Only from then on: a day (2026-11-27), a moment (2026-11-27T12:00+01:00), or 12h ago (12h).",
    ),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="Only before then, written as for --since.")
]

SearchOption = Annotated[
    str | None,
    typer.Option(
        "--search",
        metavar="WORDS",
        help="Only where each of these words is part of the name, of the base or of a tag.",
    ),
]
TagsOption = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="Only versions with this tag; given again, with all of them."),
]
MetricsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="CONDITION",
        help="Only versions with such a recorded metric, such as 'f1>=0.9'; given again, with all of them. "
        "f1/de is that of the slice de. It compares by >=, <=, >, <, = or !=.",
    ),
]


def conditions(texts: Sequence[str] | None) -> tuple[MetricCondition, ...]:
    """What the flags --metric say; raises BadParameter."""
    try:
        return tuple(map(MetricCondition.parse, texts or ()))
    except InvalidArgument as error:
        raise typer.BadParameter(str(error), param_hint="--metric") from error


def span(since: str | None, until: str | None) -> Span:
    """The time between two flags; raises BadParameter."""
    return Span(_moment(since, "--since"), _moment(until, "--until"))


def _moment(text: str | None, flag: str) -> datetime | None:
    if text is None:
        return None
    ago = seconds_in(text)
    try:
        if ago is not None:
            return datetime.now(UTC) - timedelta(seconds=ago)
        return datetime.fromisoformat(text).astimezone(UTC)  # without a zone, this machine's
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text[:40]!a} is neither a day (2026-11-27), a moment, nor so long ago (12h)", param_hint=flag
        ) from error
