"""Addresses as users write them, `host:port` or `unix:path`, and whether they are free."""

import errno
import re
import socket

from parfocal.rpc.errors import AddressInvalid, AddressUnavailable

_HOST = re.compile(r"\[[0-9A-Fa-f:.]+(%\w+)?\]|[^\[\]/:\s]+")
_PORT = re.compile(r"[0-9]{1,5}")


def checked_address(address: str) -> str:
    """The address as it came.

    Raises AddressInvalid unless it is `host:port` (port 0 to 65535, IPv6 hosts in brackets) or `unix:path`.
    """
    if address.startswith("unix:") and len(address) > len("unix:"):
        return address
    host, colon, port = address.rpartition(":")
    if colon and _HOST.fullmatch(host) and _PORT.fullmatch(port) and int(port) <= 65535:
        return address
    raise AddressInvalid(
        f"{address!r} is not an address; write host:port, for example 127.0.0.1:50051, or unix:/path"
    )


def check_free(address: str) -> None:
    """Raises AddressUnavailable, with the system's reason, unless a server could listen there.

    gRPC gives no reason, writes to stderr itself, and settles for one of a host's addresses when another
    server has the rest.
    """
    if address.startswith("unix:"):
        return
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise unavailable(address, error.strerror or str(error)) from error
    refusals = [why for family, _, _, _, place in found if (why := _refusal(family, place)) is not None]
    taken = [error for error in refusals if error.errno == errno.EADDRINUSE]
    if taken or len(refusals) == len(found):
        first = (taken or refusals)[0]
        raise unavailable(address, first.strerror or str(first)) from first


def unavailable(address: str, cause: str) -> AddressUnavailable:
    """The error that says why nothing can listen there."""
    return AddressUnavailable(f"cannot listen at {address}: {cause}; choose another", address=address)


def _refusal(family: int, place: tuple[object, ...]) -> OSError | None:
    """Why the address cannot be bound, if it cannot."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(place)
    except OSError as error:
        return error
    return None
