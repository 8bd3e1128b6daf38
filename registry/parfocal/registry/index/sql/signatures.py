"""Signatures of versions inside an open transaction. Verifies none of them."""

from collections.abc import Iterable
from dataclasses import replace

from parfocal.registry.index import refusals
from parfocal.registry.index.sql.changes import apply
from parfocal.registry.index.sql.rows import moment_in
from parfocal.registry.index.sql.session import Session
from parfocal.registry.values import Event, Signature, digest_of

_OF_LIVE_VERSIONS = """
FROM signatures s JOIN versions v ON v.name = s.name AND v.version = s.version WHERE v.deleted_at IS NULL
"""
EVERY_BUNDLE = f"SELECT DISTINCT s.digest, s.bundle {_OF_LIVE_VERSIONS}"
EVERY_SIGNATURE = f"SELECT DISTINCT s.digest {_OF_LIVE_VERSIONS}"
_OF_VERSION = (
    "SELECT digest, bundle, added_at, actor FROM signatures WHERE name = ? AND version = ? ORDER BY sequence"
)


def of_version(session: Session, name: str, number: int) -> tuple[Signature, ...]:
    """The signatures of a version; raises IndexCorrupt."""
    rows = session.execute(_OF_VERSION, (name, number)).fetchall()
    return tuple(_signature(*row) for row in rows)


def sign(session: Session, signing: Event, bundles: Iterable[bytes]) -> None:
    """Adds those signatures to a version that it does not have, each by an event like `signing`.

    Raises TooManySignatures.
    """
    known = {each.digest for each in of_version(session, signing.name, signing.version)}
    for bundle in bundles:
        digest = digest_of(bundle)
        if digest not in known:
            refusals.check_room_to_sign(signing.name, signing.version, len(known))
            apply(session, replace(signing, digest=digest), bundle)
            known.add(digest)


def _signature(digest: str, bundle: bytes, added_at: str, actor: str) -> Signature:
    return Signature(digest, bytes(bundle), moment_in(added_at), actor)
