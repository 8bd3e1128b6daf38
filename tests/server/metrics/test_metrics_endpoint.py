"""The page that Prometheus scrapes: served, refused addresses named, its port given back."""

import urllib.request

import pytest

from parfocal.rpc import AddressInvalid, AddressUnavailable
from parfocal.server.metrics.endpoint import MetricsEndpoint
from parfocal.server.metrics.server_metrics import ServerMetrics


def test_the_page_is_served_over_http() -> None:
    endpoint = MetricsEndpoint(ServerMetrics(50).registry, "127.0.0.1:0")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}/metrics") as reply:
            text = reply.read().decode()
    finally:
        endpoint.stop()

    assert "parfocal_build_info{" in text


@pytest.mark.parametrize("address", ["9464", "localhost:http", "localhost:70000", "unix:/tmp/x"])
def test_a_malformed_metrics_address_is_refused(address: str) -> None:
    with pytest.raises(AddressInvalid, match="host:port"):
        MetricsEndpoint(ServerMetrics(1).registry, address)


def test_a_taken_metrics_address_is_refused_by_name() -> None:
    first = MetricsEndpoint(ServerMetrics(1).registry, "127.0.0.1:0")
    try:
        with pytest.raises(AddressUnavailable, match=f"127.0.0.1:{first.port}"):
            MetricsEndpoint(ServerMetrics(1).registry, f"127.0.0.1:{first.port}")
    finally:
        first.stop()


def test_a_stopped_endpoint_frees_its_port() -> None:
    first = MetricsEndpoint(ServerMetrics(1).registry, "127.0.0.1:0")
    first.stop()

    second = MetricsEndpoint(ServerMetrics(1).registry, f"127.0.0.1:{first.port}")
    second.stop()
    assert second.port == first.port
