"""Where a server is and how it is reached: an address, plain or over TLS, and credentials. Opens nothing."""

from dataclasses import dataclass, field

from parfocal.rpc.addresses import checked_address
from parfocal.rpc.credentials import Credentials
from parfocal.rpc.errors import AddressInvalid

_PLAIN = "grpc://"
_TLS = "grpcs://"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server as a caller reaches it. `address` is `host:port` or `unix:path`."""

    address: str
    over_tls: bool = False
    credentials: Credentials = field(default_factory=Credentials)

    @classmethod
    def parse(cls, text: str, credentials: Credentials | None = None) -> "Endpoint":
        """The server that a user names: `grpcs://host:port` over TLS, `grpc://host:port` without.

        Without a scheme, it is TLS if the credentials name authorities or a certificate, except for
        `unix:path`. Raises AddressInvalid.

        >>> Endpoint.parse("grpcs://adapters.example.com:443").over_tls
        True
        >>> Endpoint.parse("127.0.0.1:50051").over_tls
        False
        """
        shown = credentials or Credentials()
        for scheme in (_PLAIN, _TLS):
            if text.startswith(scheme):
                return cls(checked_address(text.removeprefix(scheme)), scheme == _TLS, shown)
        if "://" in text:
            raise AddressInvalid(f"{text!a} is not an address; write grpc://host:port, or grpcs:// for TLS")
        address = checked_address(text)
        return cls(address, shown.need_tls and not address.startswith("unix:"), shown)

    def __str__(self) -> str:
        """The address with its scheme.

        >>> str(Endpoint.parse("localhost:50051"))
        'grpc://localhost:50051'
        """
        return f"{_TLS if self.over_tls else _PLAIN}{self.address}"
