"""Where a registry's two halves are, as one address: an index, and the blobs beside it."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from parfocal.registry.errors import InvalidArgument

SCHEMES = ("postgresql", "postgres", "sqlite")
_EXAMPLE = "postgresql://user@host/database?blobs=s3://bucket/prefix"


@dataclass(frozen=True, slots=True)
class StorageAddress:
    """An index, `postgresql://…` or `sqlite:///path`, and blobs: a folder or the URL of a store."""

    index: str
    blobs: str

    @classmethod
    def parse(cls, text: str) -> "StorageAddress":
        """Reads `INDEX?blobs=BLOBS`, such as `postgresql://me@db/adapters?blobs=s3://bucket/adapters`.

        Options of the blobs' own URL are written there with %3F and %26. Raises InvalidArgument.
        """
        parts = urlsplit(text)
        given = parse_qsl(parts.query, keep_blank_values=True)
        blobs = [value for name, value in given if name == "blobs"]
        if len(blobs) != 1 or not blobs[0]:
            raise InvalidArgument(
                f"a registry on {parts.scheme}:// needs one store of blobs: {_EXAMPLE}", field="registry"
            )
        rest = urlencode([pair for pair in given if pair[0] != "blobs"])
        return cls(urlunsplit((parts.scheme, parts.netloc, parts.path, rest, "")), blobs[0])


def is_storage(text: str) -> bool:
    """Whether this is the address of an index and blobs."""
    return text.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))
