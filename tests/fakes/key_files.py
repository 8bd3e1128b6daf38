"""Files of API keys for tests: written as `parfocal keys` writes them, each key with the text that opens."""

from datetime import UTC, datetime
from pathlib import Path

from parfocal.rpc.access import Scope, add_key

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def given_key(path: Path, *scopes: str, name: str = "test", expires: datetime | None = None) -> str:
    """Adds a key with these scopes to the file, and returns its text."""
    _, text = add_key(path, name, tuple(map(Scope.parse, scopes)), expires, NOW)
    return text


def id_of(text: str) -> str:
    """The id in a key's text."""
    return text.split("_")[1]
