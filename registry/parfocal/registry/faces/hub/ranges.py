"""Which bytes of a file a request wants (RFC 9110). Knows no file."""

import re
from dataclasses import dataclass

from parfocal.registry.faces.hub.errors import RangeBeyond

_ONE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from `begin` up to, not including, `end` of a file of `size` bytes."""

    begin: int
    end: int
    size: int

    @property
    def is_whole(self) -> bool:
        """Whether it is the file."""
        return self.begin == 0 and self.end == self.size

    @property
    def length(self) -> int:
        """How many bytes there are."""
        return self.end - self.begin


def wanted(header: str, size: int) -> Span | None:
    """The span that a Range header asks for; None where the whole file is the answer.

    That is so without a header, for several ranges at once, and for what is no range: servers may ignore
    it then. Raises RangeBeyond.
    """
    found = _ONE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        begin, end = max(0, size - int(found[2])), size
    else:
        begin, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < begin:
            return None
    if begin >= size:
        raise RangeBeyond(f"the file has {size} bytes, and {header[:60]!a} begins after them", size)
    return Span(begin, end, size)
