"""TLS at both ends: a server's certificate as its files have it now, and why a caller was not let in."""

from parfocal.rpc.tls.certificate import (
    TlsFiles,
    WatchedFiles,
    renewing_context,
    server_context,
    server_credentials,
)
from parfocal.rpc.tls.faults import NOT_GRPC, TLS_FAILED, explained

__all__ = [
    "NOT_GRPC",
    "TLS_FAILED",
    "TlsFiles",
    "WatchedFiles",
    "explained",
    "renewing_context",
    "server_context",
    "server_credentials",
]
