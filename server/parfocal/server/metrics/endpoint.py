"""The page that Prometheus scrapes, on an address of its own. Knows no metric."""

import threading
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

from parfocal.rpc import AddressInvalid, AddressUnavailable


class MetricsEndpoint:
    """Serves one registry's metrics over HTTP from threads of its own until `stop`."""

    def __init__(self, registry: CollectorRegistry, address: str) -> None:
        """Starts listening; port 0 takes any free port. Raises AddressInvalid or AddressUnavailable."""
        host, port = split_address(address)
        try:
            self._server, self._thread = _started(registry, host, port)
        except OSError as error:
            cause = error.strerror or error
            raise AddressUnavailable(f"Cannot show metrics at {address}: {cause}. Choose another.") from error
        self.port: int = self._server.server_port

    def stop(self) -> None:
        """Stops listening and waits for the thread to end."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _started(registry: CollectorRegistry, host: str, port: int) -> tuple[WSGIServer, threading.Thread]:
    return start_http_server(port, addr=host, registry=registry)


def split_address(address: str) -> tuple[str, int]:
    """Returns host and port; raises AddressInvalid."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535 or "/" in host:
        raise AddressInvalid(
            f"{address!r} is not an address for metrics; write host:port, such as 127.0.0.1:9464."
        )
    return host.strip("[]"), int(port)
