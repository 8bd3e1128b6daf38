"""The settings that both ends of the wire share: message limits and keepalive. Opens nothing."""

from parfocal.v1.limits import HANDSHAKE_S, PROBE_RPCS

# Pings detect a dead peer within 40 s, and keep an idle connection in the tables of NATs and balancers, which
# forget it after minutes.
_KEEPALIVE = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # gRPC stops after two pings that no data followed, but a long answer sends none before its end.
    ("grpc.http2.max_pings_without_data", 0),
    # On a server this also allows its callers to ping without calls, else once in two hours.
    ("grpc.keepalive_permit_without_calls", 1),
]

# Callers ping every 5 to 10 s, some more often, and a network delays now one ping, now the next; gRPC would
# allow them one in five minutes. A ping less than a second after the last is a strike, and the third strike
# without any reply in between ends the connection: who floods the server is still cut off.
_LEAST_PING_INTERVAL_MS = 1_000

# A server that comes back is found again soon; gRPC would wait up to two minutes.
_LONGEST_RECONNECT_MS = 10_000

# The bits of gRPC's numbers for no compression, 0, and gzip, 2. Deflate looks like a message of protobuf.
_PLAIN_AND_GZIP = 1 << 0 | 1 << 2

Options = list[tuple[str, int]]


def channel_options(max_message_bytes: int) -> Options:
    """The options of a client's channel."""
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        *_KEEPALIVE,
        ("grpc.max_reconnect_backoff_ms", _LONGEST_RECONNECT_MS),
    ]


def server_options(max_message_bytes: int, max_rpcs: int | None, max_connections: int | None) -> Options:
    """The options of a server. Its pings find callers that vanished, and cancel their requests.

    A connection beyond `max_connections` is closed immediately; None is no limit.
    """
    bounded: Options = []
    if max_connections is not None:
        bounded.append(("grpc.max_allowed_incoming_connections", max_connections))
    if max_rpcs is not None:
        # Beyond what the server serves, and some more that it refuses with advice, callers wait at their end.
        bounded.append(("grpc.max_concurrent_streams", max_rpcs + PROBE_RPCS.most))
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        # Compressed messages are inflated by us, with a bound; gRPC has none.
        ("grpc.per_message_decompression", 0),
        ("grpc.compression_enabled_algorithms_bitset", _PLAIN_AND_GZIP),
        *_KEEPALIVE,
        ("grpc.http2.min_ping_interval_without_data_ms", _LEAST_PING_INTERVAL_MS),
        # A second server on a taken port must fail, not share the port's connections by chance.
        ("grpc.so_reuseport", 0),
        # A connection that never says that it speaks HTTP/2 is closed.
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_S.most * 1000),
        *bounded,
    ]
