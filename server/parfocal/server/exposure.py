"""Who can reach a server's addresses, how many, and whether its settings allow that. Opens nothing."""

import ipaddress
import resource
import socket
from collections.abc import Mapping

from parfocal.server.errors import BadSetting
from parfocal.server.settings import ServeConfig

_MANY_CONNECTIONS = 1 << 15
# Each that is closed for a newer one comes back and wakes the thread of the pages: more are cheaper than few.
_MANY_PAGE_CONNECTIONS = 256


def check_exposure(config: ServeConfig, addresses: Mapping[str, str]) -> None:
    """Raises BadSetting for an address that other machines reach while nobody needs a key.

    `addresses` are `host:port` or `unix:path` by the name of their setting; empty ones are not listened at.
    """
    if config.keys or config.insecure:
        return
    for setting, address in addresses.items():
        if address and not is_loopback(address):
            raise BadSetting(
                f"--{setting.replace('_', '-')} {address} can be reached from other machines, where without "
                "keys everybody may do everything; give --keys FILE (parfocal keys add makes one), listen at "
                "127.0.0.1, or accept that with --insecure",
                field=setting,
            )


def most_connections(config: ServeConfig) -> int:
    """Half of the process's files unless it is set: uploads, downloads and adapters need the others."""
    return config.max_connections or _files_over(2)


def most_http_connections(config: ServeConfig) -> int:
    """A quarter of them, beside those of gRPC."""
    return config.max_connections or _files_over(4)


def most_page_connections() -> int:
    """A sixteenth of them, few being enough for those who watch."""
    return min(_files_over(16), _MANY_PAGE_CONNECTIONS)


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches `host:port` or `unix:path`; a name must mean nothing else.

    >>> is_loopback("127.0.0.1:50051"), is_loopback("[::1]:50051"), is_loopback("unix:/run/parfocal.sock")
    (True, True, True)
    >>> is_loopback("0.0.0.0:50051"), is_loopback("[::]:50051")
    (False, False)
    """
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    return all(_is_own(each) for each in _meant_by(host))


def _files_over(parts: int) -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MANY_CONNECTIONS if files == resource.RLIM_INFINITY else min(files // parts, _MANY_CONNECTIONS)


def _meant_by(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):  # nobody can listen there; who tries says so
        return []
    return [str(place[0]) for _, _, _, _, place in found]


def _is_own(host: str) -> bool:
    found = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
