"""What is limited is shown: how much there may be, how much there is, how often there was no room."""

import pytest

from parfocal.rpc import Room
from parfocal.server.metrics import ServerMetrics, Usage


def metrics() -> tuple[ServerMetrics, Usage]:
    shown = ServerMetrics(50)
    usage = Usage(
        rpcs=Room(2048, "max_rpcs"),
        probes=Room(99, ""),
        registry_rpcs=Room(256, "max_registry_rpcs"),
        uploads=Room(64, "max_uploads"),
        staged_bytes=Room(1000, "max_upload_bytes"),
        slow_uploads=lambda: 7,
    )
    shown.bounded(usage)
    return shown, usage


def value(shown: ServerMetrics, name: str, **labels: str) -> float | None:
    return shown.registry.get_sample_value(name, labels)


@pytest.mark.parametrize(("service", "limit"), [("all", 2048), ("registry", 256), ("probes", 99)])
def test_rpcs_are_shown_by_service(service: str, limit: int) -> None:
    shown, usage = metrics()
    room = {"all": usage.rpcs, "registry": usage.registry_rpcs, "probes": usage.probes}[service]
    assert isinstance(room, Room)
    room.take(3)
    room.take(limit)

    assert value(shown, "parfocal_rpcs_running", service=service) == 3
    assert value(shown, "parfocal_rpcs_limit", service=service) == limit
    assert value(shown, "parfocal_rpcs_refused_total", service=service) == 1


def test_uploads_are_shown_with_their_bytes() -> None:
    shown, usage = metrics()
    assert isinstance(usage.uploads, Room)
    assert isinstance(usage.staged_bytes, Room)
    usage.uploads.take()
    usage.staged_bytes.take(1000)
    usage.staged_bytes.take(1)

    assert value(shown, "parfocal_uploads_running") == 1
    assert value(shown, "parfocal_uploads_limit") == 64
    assert value(shown, "parfocal_uploads_staged_bytes") == 1000
    assert value(shown, "parfocal_uploads_staged_limit_bytes") == 1000
    assert value(shown, "parfocal_uploads_refused_total", limit="uploads") == 0
    assert value(shown, "parfocal_uploads_refused_total", limit="staged_bytes") == 1
    assert value(shown, "parfocal_uploads_refused_total", limit="idle") == 7


def test_before_a_server_has_services_only_its_process_is_shown() -> None:
    shown = ServerMetrics(50)

    assert (value(shown, "parfocal_threads") or 0) >= 1
    assert value(shown, "parfocal_rpcs_running", service="all") is None


def test_room_is_taken_and_given_back() -> None:
    room = Room(3, "max_things")

    assert room.take(2)
    assert not room.take(2)
    assert room.take(1)
    room.give_back(3)
    assert room.take(3)
    assert (room.taken, room.refused) == (3, 1)
