"""Gates, canaries, signatures and filtered lists through both clients, against a registry that is real."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from concurrent import futures
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from fakes.registry.peft_folders import Adapter, write_adapter
from fakes.registry.registry_server import serving
from fakes.signing.signatures import sign
from parfocal.client import (
    AliasMoved,
    AliasNotFound,
    AsyncClient,
    BelowBase,
    CanaryGuard,
    CanaryNotFound,
    CanaryPlan,
    Client,
    Corrupt,
    Evaluation,
    GateNotFound,
    GateRefused,
    InvalidRequest,
    Metric,
    MetricAtLeast,
    MetricAtMost,
    MoveFilter,
    NotAboveCurrent,
    NotSupported,
    Publication,
    SignedBy,
    VersionFilter,
)
from parfocal.client.answers import read_signature
from parfocal.client.async_registries import AsyncRegistryClient
from parfocal.client.registries import RegistryClient
from parfocal.registry import FolderRegistry
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1 import registry_service_pb2_grpc as rpc

NAME = "team/invoices"
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def folder(tmp_path: Path) -> FolderRegistry:
    return FolderRegistry(tmp_path / "registry")


@pytest.fixture
def address(folder: FolderRegistry, tmp_path: Path) -> Iterator[str]:
    with serving(folder, tmp_path / "uploads") as address:
        yield f"grpc://{address}"


@pytest.fixture
def registry(address: str, tmp_path: Path) -> Iterator[RegistryClient]:
    """Holds three versions, whose f1 is 0.1, 0.2 and 0.3; `prod` points at the first."""
    with Client(address) as client:
        for number in (1, 2, 3):
            publication = Publication(
                base="small-base",
                unverified_base=True,
                evaluation=Evaluation(DIGEST, 10, {"f1": number / 10}),
                tags=("mail", f"n:{number}"),
            )
            source = write_adapter(tmp_path / f"adapter-{number}", Adapter(fill=number))
            client.registry.publish(source, NAME, publication)
        client.registry.set_alias(NAME, "prod", 1, actor="ann")
        yield client.registry


def test_a_gate_is_set_shown_asked_and_cleared(registry: RegistryClient) -> None:
    rules = (
        MetricAtLeast("f1", 0.2),
        MetricAtMost("f1", 0.9, "de", interval=True),
        BelowBase(0.1, "*"),
        NotAboveCurrent(0.5),
        SignedBy(("release",)),
        registry.base_of(f"{NAME}@1"),
    )
    given = registry.set_gate(NAME, "prod", *rules, actor="ann")

    assert given == registry.gate(NAME, "prod")
    assert (given.rules, given.actor) == (rules, "ann")
    registry.set_gate(NAME, "prod", MetricAtLeast("f1", 0.2), actor="ann")
    verdict = registry.check_gate(NAME, "prod", 1)
    assert (verdict.passed, verdict.current_version) == (False, 1)
    assert verdict.evidence[0].short_by == pytest.approx(0.1)
    assert registry.check_gate(NAME, "prod", 2).passed
    registry.clear_gate(NAME, "prod")
    with pytest.raises(GateNotFound):
        registry.gate(NAME, "prod")


def test_a_gate_refuses_a_move_by_the_rule_and_is_overridden_for_a_reason(registry: RegistryClient) -> None:
    registry.set_gate(NAME, "prod", MetricAtLeast("f1", 0.25))

    with pytest.raises(GateRefused) as refused:
        registry.set_alias(NAME, "prod", 2)
    assert "f1" in refused.value.metadata["rule"]
    assert registry.override_gate(NAME, "prod", 2, reason="an outage", actor="ann").version == 2


def test_a_canary_begins_is_seen_and_is_promoted(registry: RegistryClient) -> None:
    guards = (CanaryGuard("errors", 0.01, samples=100), CanaryGuard("ttft", 0.2, samples=50))
    begun = registry.set_canary(NAME, "prod", CanaryPlan(2, 2.5, guards), expected_version=1, actor="ann")

    seen = registry.alias(NAME, "prod")
    assert seen == begun
    assert seen.canary is not None
    assert (seen.version, seen.canary.version, seen.canary.weight_percent) == (1, 2, 2.5)
    assert (seen.canary.guards, seen.canary.actor) == (guards, "ann")
    after = registry.promote_canary(seen)
    assert (after.version, after.canary) == (2, None)
    with pytest.raises(AliasMoved):
        registry.promote_canary(seen)


def test_a_canary_is_aborted_only_if_it_still_is_the_one_seen(registry: RegistryClient) -> None:
    first = registry.set_canary(NAME, "prod", CanaryPlan(2, 10))
    second = registry.set_canary(NAME, "prod", CanaryPlan(3, 10))

    with pytest.raises(AliasMoved):
        registry.abort_canary(first)
    after = registry.abort_canary(second, actor="ben")
    assert (after.version, after.canary) == (1, None)
    with pytest.raises(CanaryNotFound):
        registry.abort_canary(after)
    assert [move.kind for move in registry.history(NAME, "prod")][:2] == ["abort", "canary"]


@pytest.mark.parametrize("percent", [0, 100, -1, 0.001, float("nan")])
def test_a_share_that_is_none_is_refused_before_it_is_sent(registry: RegistryClient, percent: float) -> None:
    with pytest.raises(InvalidRequest, match="weight_percent"):
        registry.set_canary(NAME, "prod", CanaryPlan(2, percent))


def test_an_alias_that_is_not_there_is_not_found(registry: RegistryClient) -> None:
    with pytest.raises(AliasNotFound):
        registry.alias(NAME, "absent")


NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (VersionFilter(), [3, 2, 1]),
        (VersionFilter(tags=("mail", "n:2")), [2]),
        (VersionFilter(metrics=(Metric("f1", ">=", 0.2), Metric("f1", "!=", 0.3))), [2]),
        (VersionFilter(search="INVOICES n:3"), [3]),
        (VersionFilter(base="small-base", alias="prod"), [1]),
        (VersionFilter(base="other"), []),
        (VersionFilter(actor="nobody"), []),
        (VersionFilter(parent="team/x@1"), []),
        (VersionFilter(since=NOW - HOUR, until=NOW + HOUR), [3, 2, 1]),
        (VersionFilter(since=NOW + HOUR), []),
    ],
)
def test_lists_show_what_is_asked_for(
    registry: RegistryClient, where: VersionFilter, found: list[int]
) -> None:
    assert [each.version for each in registry.versions(NAME, where)] == found
    assert [each.name for each in registry.adapters(where)] == ([NAME] if found else [])


def test_moves_are_listed_by_who_made_them_and_when(registry: RegistryClient) -> None:
    registry.set_alias(NAME, "prod", 2, actor="ben")

    assert [move.version for move in registry.history(NAME, where=MoveFilter("ann"))] == [1]
    assert list(registry.history(NAME, "prod", MoveFilter(since=datetime.now(UTC) + HOUR))) == []


def test_a_moment_without_a_time_zone_is_refused(registry: RegistryClient) -> None:
    with pytest.raises(InvalidRequest, match="without a time zone"):
        list(registry.versions(NAME, VersionFilter(since=datetime(2026, 1, 1))))


def test_signatures_are_read_as_they_were_added(registry: RegistryClient, folder: FolderRegistry) -> None:
    added = [sign(folder, folder.resolve(f"{NAME}@1"), name) for name in ("ann", "ben")]

    found = registry.signatures(NAME, 1)

    assert [(each.digest, each.bundle, each.actor) for each in found] == [
        (each.digest, each.bundle, each.actor) for each in added
    ]
    assert registry.signatures(NAME, 2) == ()


def test_a_signature_that_is_not_what_its_digest_says_is_refused() -> None:
    with pytest.raises(Corrupt):
        read_signature(adapter_pb2.Signature(digest=DIGEST, bundle=b"{}"))


def test_asyncio_has_the_same_calls(registry: RegistryClient, address: str) -> None:
    async def scenario() -> None:
        async with AsyncClient(address) as client:
            there = client.registry
            await there.set_gate(NAME, "prod", MetricAtLeast("f1", 0.2), await there.base_of(f"{NAME}@2"))
            assert len((await there.gate(NAME, "prod")).rules) == 2
            assert (await there.check_gate(NAME, "prod", 2)).passed
            begun = await there.set_canary(NAME, "prod", CanaryPlan(2, 50))
            assert await there.alias(NAME, "prod") == begun
            assert (await there.promote_canary(begun)).version == 2
            again = await there.set_canary(NAME, "prod", CanaryPlan(3, 50))
            assert (await there.abort_canary(again)).canary is None
            assert (await there.override_gate(NAME, "prod", 1, reason="an outage")).version == 1
            await there.clear_gate(NAME, "prod")
            listed = there.versions(NAME, VersionFilter(tags=("n:2",)))
            assert [each.version async for each in listed] == [2]
            moves = [each async for each in there.history(NAME, "prod", MoveFilter("ann"))]
            assert [each async for each in there.adapters(VersionFilter(search="none"))] == []
            assert [move.version for move in moves] == [1]
            assert await there.signatures(NAME, 1) == ()

    asyncio.run(scenario())


def test_both_clients_take_the_same_arguments() -> None:
    def calls(kind: type) -> dict[str, list[str]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(each).parameters) for name, each in found if name[0] != "_"}

    assert calls(RegistryClient) == calls(AsyncRegistryClient)


class OldRegistry(rpc.RegistryServiceServicer):
    """A registry of before there were filters, or of before there was one more: it answers all it has."""

    def __init__(self, *applied: str) -> None:
        self._applied = applied

    def ListAdapters(self, request: pb.ListAdaptersRequest, context: object) -> pb.ListAdaptersResponse:
        page = adapter_pb2.Adapter(name="team/other")
        return pb.ListAdaptersResponse(adapters=[page], applied_filters=self._applied)

    def ListVersions(self, request: pb.ListVersionsRequest, context: object) -> pb.ListVersionsResponse:
        return pb.ListVersionsResponse(applied_filters=self._applied)

    def ListAliasMoves(self, request: pb.ListAliasMovesRequest, context: object) -> pb.ListAliasMovesResponse:
        return pb.ListAliasMovesResponse(applied_filters=self._applied)


@pytest.fixture
def old() -> Iterator[Callable[..., Client]]:
    """Returns a function that makes a client of a registry which applies only these filters."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    clients = list[Client]()

    def of(*applied: str) -> Client:
        service = OldRegistry(*applied)  # type: ignore[abstract]  # what it does not have is UNIMPLEMENTED
        rpc.add_RegistryServiceServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        clients.append(Client(f"grpc://127.0.0.1:{port}"))
        return clients[-1]

    yield of
    for client in clients:
        client.close()
    server.stop(None).wait()


def test_a_list_that_a_server_did_not_filter_is_refused_by_the_filters_name(
    old: Callable[..., Client],
) -> None:
    registry = old("base").registry

    with pytest.raises(NotSupported, match="did not filter its list by metrics, tags"):
        list(registry.adapters(VersionFilter(base="b", tags=("x",), metrics=(Metric("f1", ">", 0),))))
    with pytest.raises(NotSupported) as refused:
        list(registry.versions("team/x", VersionFilter(search="x")))
    assert (refused.value.reason, refused.value.field) == ("FILTER_IGNORED", "search")
    with pytest.raises(NotSupported, match="by actor"):
        list(registry.history("team/x", where=MoveFilter("ann")))


def test_what_a_server_did_filter_by_or_was_not_asked_to_is_listed(old: Callable[..., Client]) -> None:
    registry = old("base").registry

    assert [each.name for each in registry.adapters(VersionFilter(base="b"))] == ["team/other"]
    assert [each.name for each in registry.adapters()] == ["team/other"]
    assert list(registry.history("team/x", "prod")) == []
