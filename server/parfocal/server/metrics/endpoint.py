"""The pages for operators, on an address of their own: metrics, liveness, readiness. Knows no metric."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, make_wsgi_app

from parfocal.rpc import AddressInvalid, AddressUnavailable
from parfocal.server.metrics.pages import MOST_CONNECTIONS, PageServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# A server's states; only the first is ready for requests.
READY = "ready"

_METHODS = ("GET", "HEAD")


class MetricsEndpoint:
    """Serves `/metrics`, `/healthz` and `/readyz` over HTTP from a thread of its own until `stop`.

    `state` returns the server's state on each call: `/readyz` is 200 if it is `READY`, else 503.
    `/healthz` is 200 as long as anything answers.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        address: str,
        state: Callable[[], str],
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        """Starts listening; port 0 takes any free port. Raises AddressInvalid or AddressUnavailable."""
        host, port = split_address(address)
        pages = {
            "/metrics": make_wsgi_app(registry),
            "/healthz": _said(lambda: "alive", "alive"),
            "/readyz": _said(state, READY),
        }
        try:
            self._server = PageServer(host, port, _routes(pages), most_connections=most_connections)
        except OSError as error:
            cause = error.strerror or error
            raise AddressUnavailable(
                f"cannot show metrics at {address}: {cause}; choose another", address=address
            ) from error
        self.port: int = self._server.port

    def stop(self) -> None:
        """Stops listening and waits for the thread to end."""
        self._server.stop()


def _routes(pages: dict[str, "WSGIApplication"]) -> "WSGIApplication":
    def route(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        page = pages.get(environ.get("PATH_INFO", ""))
        if page is None:
            return _text(start, "404 Not Found", f"there are {', '.join(pages)}")
        method = environ["REQUEST_METHOD"]
        if method not in _METHODS:
            allowed = ("Allow", ", ".join(_METHODS))
            return _text(start, "405 Method Not Allowed", "these pages are read-only", allowed)
        body = page({**environ, "REQUEST_METHOD": "GET"}, start)
        return body if method == "GET" else []

    return route


def _said(state: Callable[[], str], good: str) -> "WSGIApplication":
    def say(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        word = state()
        return _text(start, "200 OK" if word == good else "503 Service Unavailable", word)

    return say


def _text(start: "StartResponse", status: str, text: str, *headers: tuple[str, str]) -> list[bytes]:
    body = f"{text}\n".encode()
    start(
        status,
        [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *headers],
    )
    return [body]


def split_address(address: str) -> tuple[str, int]:
    """Host and port; raises AddressInvalid."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535 or "/" in host:
        raise AddressInvalid(
            f"{address!r} is not an address for metrics; write host:port, such as 127.0.0.1:9464"
        )
    return host.strip("[]"), int(port)
