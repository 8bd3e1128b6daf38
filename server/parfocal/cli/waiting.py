"""Waits until a server serves. Knows no terminal."""

import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from parfocal.cli.reach import endpoint
from parfocal.rpc import TLS_FAILED, RemoteError, explained, open_blocking_channel, remote_error

# A base of some billion weights takes minutes to load, and the server may only just be starting.
USUAL_LIMIT_S = 900.0
_PAUSE_S = 0.2


def wait_until_serving(address: str, limit_s: float = USUAL_LIMIT_S) -> None:
    """Waits until the server at `address` reports that it serves.

    Raises RemoteError after `limit_s` seconds, and immediately if something else answers there, or TLS fails.
    """
    until = time.monotonic() + limit_s
    while not _serves(address, until):
        if time.monotonic() >= until:
            raise RemoteError(
                f"no server was ready at {address} within {limit_s:g} s; start one with: parfocal serve",
                "DEADLINE_EXCEEDED",
                "SERVER_NOT_READY",
                {},
            )
        time.sleep(min(_PAUSE_S, max(0.0, until - time.monotonic())))


def _serves(address: str, until: float) -> bool:
    """Uses a new channel each time: a failed one waits longer before each retry."""
    server = endpoint(address)
    with open_blocking_channel(server) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        try:
            reply = check(health_pb2.HealthCheckRequest(), timeout=max(0.1, until - time.monotonic()))
        except grpc.RpcError as error:
            failed = explained(remote_error(error), server)
            if failed.reason != TLS_FAILED and failed.status in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
                return False
            raise failed from error
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)
