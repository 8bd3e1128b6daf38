"""API keys: how they are made, written and known again. Knows no file.

A key is `pf_<id>_<secret>`. The id is no secret: it stands in logs and lists. The secret has 256 random bits,
so its sha256 is kept and nothing slower: no one can try 2^256 secrets, fast or slow, and a slow hash, which
protects what people can remember, would give every request of a stranger milliseconds of the server's time.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from parfocal.rpc.access.scopes import Scope, parse_scopes

_ID_BYTES = 4
_SECRET_BYTES = 32
_TEXT = re.compile(r"pf_(?P<id>[0-9a-f]{8})_(?P<secret>[0-9a-f]{64})")
_HASH = re.compile(r"[0-9a-f]{64}")
_NAME_CHARACTERS = 100
_FIELDS = {"id", "name", "sha256", "scopes", "created", "expires"}


@dataclass(frozen=True, slots=True)
class Key:
    """A key as a server knows it: whose it is, what it may do, and the sha256 of its secret in hex."""

    id: str
    name: str
    sha256: str
    scopes: tuple[Scope, ...]
    created: datetime
    expires: datetime | None = None

    def is_expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires is not None and now >= self.expires

    def line(self) -> str:
        """The key as a line of a file."""
        return json.dumps(
            {
                "id": self.id,
                "name": self.name,
                "sha256": self.sha256,
                "scopes": [str(scope) for scope in self.scopes],
                "created": written(self.created),
                "expires": written(self.expires),
            }
        )


def make_key(
    name: str, scopes: Sequence[Scope], expires: datetime | None, taken: Collection[str], now: datetime
) -> tuple[Key, str]:
    """A new key whose id is none of `taken`, and its text, which nobody can make again from the key."""
    while (own_id := secrets.token_hex(_ID_BYTES)) in taken:
        pass
    secret = secrets.token_hex(_SECRET_BYTES)
    key = Key(own_id, checked_name(name), hash_of(secret), tuple(scopes), now, expires)
    return key, f"pf_{own_id}_{secret}"


def read_line(line: str) -> Key:
    """The key in a line of a file; raises ValueError or ScopeInvalid saying what is wrong with it."""
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004  # of the file, not of an argument
    if unknown := sorted(found.keys() - _FIELDS):
        raise ValueError(f"it has a field {unknown[0][:40]!a} that is not known")
    own_id, sha256 = _text(found, "id"), _text(found, "sha256")
    if not re.fullmatch(r"[0-9a-f]{8}", own_id) or not _HASH.fullmatch(sha256):
        raise ValueError("its id or its sha256 is not written as parfocal keys add writes them")
    scopes = found.get("scopes")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise ValueError("its scopes are no list of texts")
    created, expires = read_moment(found.get("created")), read_moment(found.get("expires"))
    if created is None:
        raise ValueError("it does not say when it was created")
    return Key(own_id, checked_name(_text(found, "name")), sha256, parse_scopes(scopes), created, expires)


def split(text: str) -> tuple[str, str] | None:
    """Id and secret of a key's text; None for what is no key."""
    match = _TEXT.fullmatch(text)
    return (match["id"], match["secret"]) if match else None


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_of(secret: str, sha256: str) -> bool:
    """Whether a secret has this hash; takes as long whatever the answer."""
    return hmac.compare_digest(hash_of(secret), sha256)


def checked_name(name: str) -> str:
    """The name, if people can read it in lists and logs; raises ValueError."""
    if not name or len(name) > _NAME_CHARACTERS or not name.isprintable():
        raise ValueError(f"the name {name[:40]!a} is not 1 to {_NAME_CHARACTERS} printable characters")
    return name


def written(moment: datetime | None) -> str | None:
    """A moment in UTC to the second, as files and lists have it."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_moment(text: Any) -> datetime | None:
    """A moment in ISO 8601; without a zone it is UTC. Raises ValueError."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError(f"{str(text)[:40]!a} is no moment such as 2027-01-31T12:00:00Z")  # noqa: TRY004
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise ValueError(f"its {name} is no text")  # noqa: TRY004
    return value
