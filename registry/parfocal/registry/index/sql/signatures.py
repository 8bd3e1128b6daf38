"""Signatures of versions inside an open transaction. Verifies none of them."""

from collections.abc import Iterable

from parfocal.registry.index import refusals
from parfocal.registry.index.sql.changes import apply
from parfocal.registry.index.sql.rows import moment_in, now
from parfocal.registry.index.sql.session import Session
from parfocal.registry.values import Event, EventKind, Signature, digest_of

EVERY_BUNDLE = """
SELECT DISTINCT s.digest, s.bundle FROM signatures s JOIN versions v ON v.name = s.name
AND v.version = s.version WHERE v.deleted_at IS NULL
"""
_OF_VERSION = (
    "SELECT digest, bundle, added_at, actor FROM signatures WHERE name = ? AND version = ? ORDER BY sequence"
)


def of_version(session: Session, name: str, number: int) -> tuple[Signature, ...]:
    """The signatures of a version; raises IndexCorrupt."""
    rows = session.execute(_OF_VERSION, (name, number)).fetchall()
    return tuple(_signature(*row) for row in rows)


def sign(session: Session, name: str, number: int, bundles: Iterable[bytes], actor: str) -> None:
    """Adds those signatures to a version that it does not have; raises TooManySignatures."""
    known = {each.digest for each in of_version(session, name, number)}
    for bundle in bundles:
        digest = digest_of(bundle)
        if digest not in known:
            refusals.check_room_to_sign(name, number, len(known))
            event = Event(0, EventKind.VERSION_SIGNED, name, now(), number, digest, actor=actor)
            apply(session, event, bundle)
            known.add(digest)


def _signature(digest: str, bundle: bytes, added_at: str, actor: str) -> Signature:
    return Signature(digest, bytes(bundle), moment_in(added_at), actor)
