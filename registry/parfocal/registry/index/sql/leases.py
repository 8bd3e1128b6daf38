"""Leases: what is kept for a while though no version needs it yet, or any more. They are no history."""

from collections.abc import Collection
from datetime import datetime, timedelta

from parfocal.registry.index.sql.rows import moment_text
from parfocal.registry.index.sql.session import Session

# No lease is longer. One that seems so was granted while the clock was ahead.
LONGEST = timedelta(days=30)
# What has ended is not forgotten at once: the clock may have gone forward, and come back.
_FORGOTTEN_AFTER = timedelta(days=1)


def grant(session: Session, owner: str, digests: Collection[str], now: datetime, until: datetime) -> None:
    """Keeps each digest for `owner` until then, or as long as it is kept already; forgets what has ended.

    Whatever the clock said before, nothing stays kept for longer than `LONGEST` from now.
    """
    last = moment_text(now + LONGEST)
    session.execute("DELETE FROM leases WHERE ends_at < ?", (moment_text(now - _FORGOTTEN_AFTER),))
    session.execute("UPDATE leases SET ends_at = ? WHERE ends_at > ?", (last, last))
    for digest in sorted(digests):
        session.execute(
            "INSERT INTO leases (digest, owner, ends_at) VALUES (?, ?, ?) ON CONFLICT (digest, owner)"
            " DO UPDATE SET ends_at = excluded.ends_at WHERE leases.ends_at < excluded.ends_at",
            (digest, owner, min(moment_text(until), last)),
        )


def in_force(session: Session, now: datetime, owner: str | None = None) -> set[str]:
    """The digests that are kept now, for `owner` or for anybody."""
    rows = session.execute(
        "SELECT digest FROM leases WHERE ends_at >= ? AND (owner = ? OR ? = 0)",
        (moment_text(now), owner or "", 0 if owner is None else 1),
    ).fetchall()
    return {str(digest) for (digest,) in rows}


def end(session: Session, owner: str, digests: Collection[str]) -> None:
    """Keeps these digests no longer for `owner`."""
    for digest in sorted(digests):
        session.execute("DELETE FROM leases WHERE digest = ? AND owner = ?", (digest, owner))
