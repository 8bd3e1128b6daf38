"""The flags that narrow lists, and what they mean. Knows no list."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from parfocal.cli.history.times import seconds_in
from parfocal.registry.values import Span

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
