"""Proves a registry's history for the command, here or behind a server. Knows no storage."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from typing import Annotated

import typer

from parfocal.cli.display import count_text, say, show_json
from parfocal.cli.progress import count_progress
from parfocal.registry import HistoryVerification, Registry, Seal, StoredRegistry, verify_events
from parfocal.registry.values import Event

Progress = Callable[[int, int], None]
_TOLD_EVERY = 1000

VerifyOption = Annotated[
    bool, typer.Option("--verify", help="Prove that no event was changed, removed or put elsewhere.")
]
AgainstOption = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="NUMBER:HASH",
        help="What --verify said of the last event earlier: it must still be so.",
    ),
]


def check_verifying(verify: bool, against: str | None, name: str | None, follow_on: bool) -> None:
    """Raises BadParameter for flags that do not go together."""
    if verify and (name is not None or follow_on):
        raise typer.BadParameter("it reads the whole history: leave out the rest", param_hint="--verify")
    if against is not None and not verify:
        raise typer.BadParameter("it says what to verify against; add --verify", param_hint="--against")


def verify_log(registry: Registry, against: str | None, as_json: bool) -> None:
    """Shows whether the history is as it was written, and ends with 1 where it is not."""
    seal = None if against is None else Seal.parse(against)
    with count_progress("Reading events") as progress:
        if isinstance(registry, StoredRegistry):
            found = registry.verify_history(seal, progress)
        else:
            found = verify_events(every_past_event(registry, progress), seal)
    if as_json:
        show_json(_document(found))
    else:
        _tell(found)
    if not found.is_sound:
        say("parfocal: the history is not as it was written: restore a backup, and find out who", err=True)
        raise typer.Exit(1)


def every_past_event(registry: Registry, progress: Progress | None = None) -> Iterator[Event]:
    """Every event up to now, as a server tells them; `progress` is told how many, of how many."""
    with closing(registry.watch()) as now:
        last = now.begins_after
    if last:
        with closing(registry.watch(after=0)) as watch:
            for event in islice(watch, last):
                yield event
                if progress is not None and (event.sequence % _TOLD_EVERY == 0 or event.sequence >= last):
                    progress(event.sequence, last)
                if event.sequence >= last:
                    return


def _tell(found: HistoryVerification) -> None:
    verdict = "all as they were written" if found.is_sound else count_text(len(found.faults), "fault")
    say(f"Read {count_text(found.events, 'event')}: {verdict}")
    for fault in found.faults:
        say(str(fault))
    if found.unconfirmed:
        say(
            f"The journal does not have the last {count_text(found.unconfirmed, 'event')} yet; it is written "
            "with the next change"
        )
    if found.events:
        say(f"Note this elsewhere, for --against: {found.last}")


def _document(found: HistoryVerification) -> dict[str, object]:
    return {
        "events": found.events,
        "sound": found.is_sound,
        "unconfirmed": found.unconfirmed,
        "last": {"sequence": found.last.sequence, "hash": found.last.hash},
        "faults": [{"sequence": fault.sequence, "problem": fault.problem} for fault in found.faults],
    }
