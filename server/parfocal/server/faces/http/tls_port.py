"""Answers plain HTTP at a port of TLS, where else only the connection would end."""

import ssl
from typing import Any

from parfocal.server.faces.http.protocol import whole_response

_PLAIN_HTTP = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST"})  # as OpenSSL names what it got instead
_ANSWER = whole_response(
    400,
    "TLS_REQUIRED",
    "this port speaks TLS, and the request came as plain HTTP; write https:// for http://",
)


class _Connection(ssl.SSLObject):
    outgoing: ssl.MemoryBIO | None = None

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except ssl.SSLError as error:
            if self.outgoing is None or error.reason not in _PLAIN_HTTP:
                raise
            self.outgoing.write(_ANSWER)
            self.outgoing = None
            # So that it is sent. Then the caller closes, or sends more, or the handshake's time ends.
            raise ssl.SSLWantReadError(*error.args) from error


class TlsPort(ssl.SSLContext):
    """A context whose connections answer a request in plain HTTP with 400, in plain HTTP."""

    sslobject_class = _Connection

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **kwargs: Any
    ) -> ssl.SSLObject:
        made = super().wrap_bio(incoming, outgoing, *args, **kwargs)
        assert isinstance(made, _Connection)
        made.outgoing = outgoing
        return made
