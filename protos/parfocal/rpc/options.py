"""The settings that both ends of the wire share: message limits, keepalive, addresses. Opens nothing."""

from parfocal.rpc.errors import AddressInvalid

# Larger requests are refused with RESOURCE_EXHAUSTED before they are read. Files travel in chunks of 1 MiB.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

_KEEPALIVE_MS = 30_000
_KEEPALIVE_TIMEOUT_MS = 10_000

Options = list[tuple[str, int]]


def channel_options(max_message_bytes: int) -> Options:
    """Returns the options of a client's channel."""
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
    ]


def server_options(max_message_bytes: int) -> Options:
    """Returns the options of a server. Pings find callers that vanished, and cancel their requests."""
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        # Callers that ping as often as ours do while they wait are not taken for abusers.
        ("grpc.http2.min_ping_interval_without_data_ms", _KEEPALIVE_MS // 2),
        # A second server on a taken port must fail, not share the port's connections by chance.
        ("grpc.so_reuseport", 0),
    ]


def checked_address(address: str) -> str:
    """Returns the address as it came.

    Raises AddressInvalid unless it is `host:port` (port 0 to 65535, IPv6 hosts in brackets) or `unix:path`.
    """
    if address.startswith("unix:") and len(address) > len("unix:"):
        return address
    host, colon, port = address.rpartition(":")
    if colon and host and port.isdecimal() and int(port) <= 65535 and "/" not in host:
        return address
    raise AddressInvalid(
        f"{address!r} is not an address; write host:port, for example 127.0.0.1:50051, or unix:/path."
    )
