"""The pages for operators: metrics, liveness, readiness; refused addresses named, ports given back."""

import contextlib
import http.client
from collections.abc import Callable, Iterator

import pytest

from parfocal.rpc import AddressInvalid, AddressUnavailable
from parfocal.server.metrics.endpoint import MetricsEndpoint
from parfocal.server.metrics.server_metrics import ServerMetrics


@contextlib.contextmanager
def endpoint(address: str = "127.0.0.1:0", state: Callable[[], str] = lambda: "ready") -> Iterator[int]:
    """Yields the port where the pages are."""
    pages = MetricsEndpoint(ServerMetrics(50).registry, address, state)
    try:
        yield pages.port
    finally:
        pages.stop()


def ask(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, str]:
    """Returns the status and the text of a page."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()


def test_the_metrics_are_a_page() -> None:
    with endpoint() as port:
        status, text = ask(port, "/metrics")

    assert status == 200
    assert "parfocal_build_info{" in text


@pytest.mark.parametrize(
    ("state", "expected"), [("ready", 200), ("loading", 503), ("draining", 503), ("failed", 503)]
)
def test_readiness_is_asked_anew_every_time(state: str, expected: int) -> None:
    states = iter(["loading", state])
    with endpoint(state=lambda: next(states)) as port:
        assert ask(port, "/readyz") == (503, "loading\n")
        assert ask(port, "/readyz") == (expected, f"{state}\n")


@pytest.mark.parametrize("state", ["ready", "loading", "draining"])
def test_a_server_that_answers_is_alive(state: str) -> None:
    with endpoint(state=lambda: state) as port:
        assert ask(port, "/healthz") == (200, "alive\n")


@pytest.mark.parametrize("path", ["/", "/foo", "/metrics/", "/healthz/x", "/favicon.ico", "/READYZ"])
def test_there_are_no_other_pages(path: str) -> None:
    with endpoint() as port:
        status, text = ask(port, path)

    assert (status, text) == (404, "there are /metrics, /healthz, /readyz\n")


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_a_head_has_no_body_and_nothing_can_be_written(path: str) -> None:
    with endpoint() as port:
        assert ask(port, path, "HEAD") == (200, "")
        assert ask(port, path, "POST") == (405, "these pages are read-only\n")


def test_a_query_changes_nothing() -> None:
    with endpoint() as port:
        assert ask(port, "/readyz?verbose=1") == (200, "ready\n")


def test_the_pages_are_served_over_ipv6_too() -> None:
    with endpoint("[::1]:0") as port:
        assert ask(port, "/healthz", host="::1") == (200, "alive\n")


@pytest.mark.parametrize("address", ["9464", "localhost:http", "localhost:70000", "unix:/tmp/x"])
def test_a_malformed_metrics_address_is_refused(address: str) -> None:
    with pytest.raises(AddressInvalid, match="host:port"), endpoint(address):
        pass


def test_a_taken_metrics_address_is_refused_by_name() -> None:
    with (
        endpoint() as port,
        pytest.raises(AddressUnavailable, match=f"127.0.0.1:{port}"),
        endpoint(f"127.0.0.1:{port}"),
    ):
        pass


def test_an_address_of_another_machine_is_refused_by_name() -> None:
    with pytest.raises(AddressUnavailable, match=r"192\.0\.2\.1:18100"), endpoint("192.0.2.1:18100"):
        pass


def test_a_stopped_endpoint_frees_its_port() -> None:
    with endpoint() as port:
        pass

    with endpoint(f"127.0.0.1:{port}") as again:
        assert again == port
