"""Sends a file, or a part of it. Knows no registry.

The bytes of a whole file are digested as they go, and its last piece stays here until the digest is that of
the file: what a client has whole, is right.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import BinaryIO

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from parfocal.registry.errors import BlobCorrupt
from parfocal.registry.faces.hub.entries import Entry
from parfocal.registry.faces.hub.ranges import Span
from parfocal.registry.faces.threads import Threads
from parfocal.v1.limits import PIECE_BYTES


class FileResponse(Response):
    """The bytes of `span`, or the whole file where it is None, read in `threads`. Closes `source`."""

    def __init__(
        self,
        entry: Entry,
        span: Span | None,
        source: BinaryIO | None,
        threads: Threads,
        headers: Mapping[str, str],
    ) -> None:
        self._entry = entry
        self._span = span or Span(0, entry.size, entry.size)
        self._source = source or BytesIO(entry.content or b"")
        self._threads = threads
        own = dict(headers)
        if span is not None:
            own["content-range"] = f"bytes {span.begin}-{span.end - 1}/{span.size}"
        own["content-length"] = str(self._span.length)
        super().__init__(
            status_code=200 if span is None else 206, headers=own, media_type="application/octet-stream"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends head and bytes; raises BlobCorrupt before the last piece of what is not the file."""
        try:
            head = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await send(head)
            pieces = self._pieces()
            piece = await self._threads(next, pieces, b"")
            while piece:
                following = await self._threads(next, pieces, b"")
                await send({"type": "http.response.body", "body": piece, "more_body": bool(following)})
                piece = following
            if not self._span.length:
                await send({"type": "http.response.body", "body": b""})
        finally:
            await asyncio.shield(asyncio.ensure_future(self._threads(self._source.close)))

    def _pieces(self) -> Iterator[bytes]:
        """Reads the span; one piece ahead of what is sent, so that a wrong digest holds the last one back."""
        digest = hashlib.sha256()
        self._source.seek(self._span.begin)
        left = self._span.length
        while left:
            piece = self._source.read(min(left, PIECE_BYTES.most))
            if not piece:
                raise self._corrupt("it ends early")
            left -= len(piece)
            if self._span.is_whole and self._entry.sha256:
                digest.update(piece)
                if not left and digest.hexdigest() != self._entry.sha256:
                    raise self._corrupt(f"its sha256 is {digest.hexdigest()}")
            yield piece

    def _corrupt(self, found: str) -> BlobCorrupt:
        return BlobCorrupt(
            f"{self._entry.path} is not what was published: {found}; parfocal registry verify names who "
            "needs it",
            digest=self._entry.sha256,
        )
