"""Where an index in PostgreSQL is: the server's own URL, and a schema in it."""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from parfocal.registry.errors import InvalidArgument

SCHEMES = ("postgresql", "postgres")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_DEFAULT_SCHEMA = "parfocal"
_HIDDEN = frozenset({"password", "sslpassword"})


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A URL as libpq reads it, and the schema that holds the tables. `shown` has no password."""

    url: str = field(repr=False)
    schema: str
    shown: str

    @classmethod
    def parse(cls, text: str) -> "PostgresAddress":
        """Reads `postgresql://[user@]host[:port]/database[?schema=…]`; libpq's own parameters go on to it.

        Raises InvalidArgument.
        """
        parts = urlsplit(text)
        if parts.scheme not in SCHEMES:
            raise InvalidArgument("an index in PostgreSQL is postgresql://user@host/database", field="index")
        given = parse_qsl(parts.query, keep_blank_values=True)
        schema = dict(given).get("schema", _DEFAULT_SCHEMA)
        if not _SCHEMA.fullmatch(schema):
            raise InvalidArgument(
                f"schema {schema[:80]!a} is not lower-case letters, digits and _, not beginning with a digit",
                field="index",
            )
        passed = [(name, value) for name, value in given if name != "schema"]
        shown = [(name, value) for name, value in given if name not in _HIDDEN]
        host = parts.netloc.rpartition("@")
        user = host[0].partition(":")[0]
        netloc = f"{user}{host[1]}{host[2]}"
        return cls(
            urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(passed), "")),
            schema,
            urlunsplit(("postgresql", netloc, parts.path, urlencode(shown), "")),
        )
