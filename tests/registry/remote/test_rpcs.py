"""The other rpcs as any gRPC client sees them: replies, codes and reasons."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from fakes.registry.registry_client import Client, publication_parts
from parfocal.registry import Manifest, Publication
from parfocal.rpc import RemoteError, remote_error
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb

Write = Callable[..., Path]


@pytest.fixture
def published(client: Client, adapter: Write, publication: Publication) -> Client:
    for fill in (1, 2, 3):
        client.publish(publication_parts(adapter(fill=fill), publication))
    client.stub.SetAlias(pb.SetAliasRequest(name="team/x", alias="prod", version=1, actor="ann"))
    client.stub.SetAlias(pb.SetAliasRequest(name="team/x", alias="prod", version=2, expected_version=1))
    client.stub.SetAlias(pb.SetAliasRequest(name="team/x", alias="dev", version=2, expected_version=0))
    return client


def test_a_version_tells_which_aliases_point_at_it(published: Client) -> None:
    stub = published.stub
    assert list(stub.GetVersion(pb.GetVersionRequest(name="team/x", version=2)).aliases) == ["dev", "prod"]
    assert list(stub.ResolveAdapter(pb.ResolveAdapterRequest(reference="team/x@1")).aliases) == []
    listed = stub.ListVersions(pb.ListVersionsRequest(name="team/x")).versions
    assert [(version.version, list(version.aliases)) for version in listed] == [
        (3, []),
        (2, ["dev", "prod"]),
        (1, []),
    ]


def test_history_is_sent_when_it_is_asked_for(published: Client) -> None:
    stub = published.stub
    stub.RollbackAlias(pb.RollbackAliasRequest(name="team/x", alias="prod", actor="ben", expected_version=2))
    request = pb.ListAliasesRequest(name="team/x", alias="prod", include_history=True)
    [alias] = stub.ListAliases(request).aliases
    assert (alias.version, alias.actor) == (1, "ben")
    moves = [(move.previous_version, move.version, move.kind, move.actor) for move in alias.history]
    assert moves == [
        (2, 1, adapter_pb2.MOVE_KIND_ROLLBACK, "ben"),
        (1, 2, adapter_pb2.MOVE_KIND_SET, ""),
        (0, 1, adapter_pb2.MOVE_KIND_SET, "ann"),
    ]
    assert list(stub.ListAliases(pb.ListAliasesRequest(name="team/x")).aliases[0].history) == []


def test_aliases_come_page_by_page(published: Client) -> None:
    stub = published.stub
    first = stub.ListAliases(pb.ListAliasesRequest(name="team/x", page_size=1))
    second = stub.ListAliases(
        pb.ListAliasesRequest(name="team/x", page_size=1, page_token=first.next_page_token)
    )
    assert [alias.alias for alias in (*first.aliases, *second.aliases)] == ["dev", "prod"]
    assert second.next_page_token == ""


def test_adapters_are_listed_with_their_aliases(published: Client) -> None:
    [adapter] = published.stub.ListAdapters(pb.ListAdaptersRequest()).adapters
    assert (adapter.name, adapter.latest_version, adapter.version_count) == ("team/x", 3, 3)
    assert [(alias.alias, alias.version) for alias in adapter.aliases] == [("dev", 2), ("prod", 2)]
    assert adapter.aliases[0].digest.startswith("sha256:")


@pytest.mark.parametrize("selector", [{"reference": "team/x@prod"}, {"digest": "of prod"}])
def test_a_download_holds_the_manifest_and_then_every_byte(
    published: Client, selector: dict[str, str]
) -> None:
    if "digest" in selector:
        selector = {"digest": published.registry.resolve("team/x@prod").digest}
    request = pb.DownloadVersionRequest(**selector)  # type: ignore[arg-type]  # texts both
    replies = list(published.stub.DownloadVersion(request))
    manifest = Manifest.from_bytes(replies[0].version.manifest_json)
    for file in manifest.files:
        data = b"".join(reply.chunk.data for reply in replies[1:] if reply.chunk.path == file.path)
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == file.digest


def test_a_deleted_version_is_gone_and_an_aliased_one_is_not_deleted(published: Client) -> None:
    published.stub.DeleteVersion(pb.DeleteVersionRequest(name="team/x", version=3))
    assert refused(published, "GetVersion", name="team/x", version=3).reason == "VERSION_NOT_FOUND"
    assert refused(published, "DeleteVersion", name="team/x", version=2).reason == "VERSION_IN_USE"


@pytest.mark.parametrize(
    ("rpc", "fields", "status", "reason"),
    [
        ("GetVersion", {"name": "nobody", "version": 1}, "NOT_FOUND", "ADAPTER_NOT_FOUND"),
        ("GetVersion", {"name": "team/x", "version": 9}, "NOT_FOUND", "VERSION_NOT_FOUND"),
        ("GetVersion", {"name": "team/x", "version": 0}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ("GetVersion", {"name": "team/x@1", "version": 1}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("ResolveAdapter", {"reference": ""}, "INVALID_ARGUMENT", "INVALID_REFERENCE"),
        ("ResolveAdapter", {"reference": "team/x@nope"}, "NOT_FOUND", "ALIAS_NOT_FOUND"),
        ("ResolveAdapter", {"reference": "../x"}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("ListVersions", {"name": "team/x", "page_size": -1}, "INVALID_ARGUMENT", "INVALID_PAGE"),
        ("ListVersions", {"name": "nobody"}, "NOT_FOUND", "ADAPTER_NOT_FOUND"),
        ("ListAdapters", {"page_token": "x"}, "INVALID_ARGUMENT", "INVALID_PAGE"),
        ("ListAliases", {"name": "team/x", "alias": "nope"}, "NOT_FOUND", "ALIAS_NOT_FOUND"),
        ("ListAliases", {"name": "team/x", "page_size": -1}, "INVALID_ARGUMENT", "INVALID_PAGE"),
        ("SetAlias", {"name": "team/x", "alias": "prod", "version": 3, "expected_version": 1},
         "FAILED_PRECONDITION", "ALIAS_MOVED"),
        ("SetAlias", {"name": "x", "alias": "latest", "version": 1}, "INVALID_ARGUMENT", "INVALID_ALIAS"),
        ("SetAlias", {"name": "team/x", "alias": "prod", "version": 99}, "NOT_FOUND", "VERSION_NOT_FOUND"),
        (
            "RollbackAlias",
            {"name": "team/x", "alias": "dev", "expected_version": 2},
            "FAILED_PRECONDITION",
            "NOTHING_TO_ROLL_BACK",
        ),
        ("RollbackAlias", {"name": "team/x", "alias": "prod"}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        (
            "RollbackAlias",
            {"name": "team/x", "alias": "prod", "expected_version": 1},
            "FAILED_PRECONDITION",
            "ALIAS_MOVED",
        ),
        ("GetGate", {"name": "team/x", "alias": "prod"}, "NOT_FOUND", "GATE_NOT_FOUND"),
        ("GetGate", {"name": "nobody", "alias": "prod"}, "NOT_FOUND", "ADAPTER_NOT_FOUND"),
        ("ClearGate", {"name": "team/x", "alias": "prod"}, "NOT_FOUND", "GATE_NOT_FOUND"),
        ("CheckGate", {"name": "team/x", "alias": "prod", "version": 1}, "NOT_FOUND", "GATE_NOT_FOUND"),
        ("SetGate", {"name": "team/x", "alias": "prod"}, "INVALID_ARGUMENT", "INVALID_GATE"),
        ("SetGate", {"name": "team/x", "alias": "prod", "rules": [{}]}, "INVALID_ARGUMENT", "INVALID_GATE"),
        (
            "SetGate",
            {"name": "team/x", "alias": "prod", "rules": [{"bound": {"metric": "x", "limit": 1}}]},
            "INVALID_ARGUMENT",
            "INVALID_GATE",
        ),
        (
            "SetGate",
            {"name": "team/x", "alias": "latest", "rules": [{"below_base": {}}]},
            "INVALID_ARGUMENT",
            "INVALID_ALIAS",
        ),
        (
            "SetAlias",
            {"name": "team/x", "alias": "prod", "version": 1, "override_reason": "a\nb"},
            "INVALID_ARGUMENT",
            "INVALID_ARGUMENT",
        ),
        ("DeleteVersion", {"name": "team/x", "version": -1}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ("DownloadVersion", {}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ("DownloadVersion", {"digest": "x"}, "INVALID_ARGUMENT", "INVALID_DIGEST"),
        ("DownloadVersion", {"digest": "sha256:" + "0" * 64}, "NOT_FOUND", "VERSION_NOT_FOUND"),
        ("Watch", {"after_sequence": 99}, "OUT_OF_RANGE", "EVENT_UNKNOWN"),
        ("Watch", {"after_sequence": -1}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ("Watch", {"name": "NO"}, "INVALID_ARGUMENT", "INVALID_NAME"),
    ],
)  # fmt: skip
def test_each_refusal_has_its_code_and_reason(
    published: Client, rpc: str, fields: dict[str, object], status: str, reason: str
) -> None:
    refusal = refused(published, rpc, **fields)
    assert (refusal.status, refusal.reason) == (status, reason)
    assert published.stub.ResolveAdapter(pb.ResolveAdapterRequest(reference="team/x@prod")).version == 2


def test_a_lost_compare_and_swap_tells_what_it_found(published: Client) -> None:
    refusal = refused(published, "SetAlias", name="team/x", alias="prod", version=3, expected_version=1)
    assert (refusal.metadata["expected"], refusal.metadata["actual"]) == ("1", "2")


def test_a_gate_that_refuses_tells_the_rule_what_is_and_by_how_much(published: Client) -> None:
    rules = [adapter_pb2.GateRule(below_base=adapter_pb2.LossBelowBase(margin=0.5))]
    gate = published.stub.SetGate(pb.SetGateRequest(name="team/x", alias="prod", rules=rules, actor="ann"))
    assert (gate.name, gate.alias, list(gate.rules), gate.actor) == ("team/x", "prod", rules, "ann")
    assert published.stub.GetGate(pb.GetGateRequest(name="team/x", alias="prod")) == gate
    refusal = refused(published, "SetAlias", name="team/x", alias="prod", version=3)
    assert (refusal.status, refusal.reason) == ("FAILED_PRECONDITION", "GATE_REFUSED")
    assert refusal.metadata["rule"] == "held-out loss below the base's by more than 0.5"
    assert refusal.metadata["found"] == "adapter_loss is not recorded"
    verdict = published.stub.CheckGate(pb.CheckGateRequest(name="team/x", alias="prod", version=3))
    assert (verdict.version, verdict.current_version, verdict.passed) == (3, 2, False)
    assert [(each.passed, each.HasField("short_by")) for each in verdict.evidence] == [(False, False)]


def test_the_largest_refusal_of_a_gate_arrives(published: Client) -> None:
    rules = [
        adapter_pb2.GateRule(
            bound=adapter_pb2.MetricBound(
                metric=f"{number:02}\U0001f600" * 50, side=adapter_pb2.BOUND_SIDE_AT_LEAST
            )
        )
        for number in range(32)
    ]
    published.stub.SetGate(pb.SetGateRequest(name="team/x", alias="prod", rules=rules))
    refusal = refused(published, "SetAlias", name="team/x", alias="prod", version=3)
    assert (refusal.reason, refusal.metadata["failed"]) == ("GATE_REFUSED", "32")


def refused(client: Client, rpc: str, **fields: object) -> RemoteError:
    """Returns why an rpc is refused."""
    request = getattr(pb, f"{rpc}Request")(**fields)
    with pytest.raises(grpc.RpcError) as refusal:
        reply = getattr(client.stub, rpc)(request, timeout=30)
        if isinstance(reply, Iterator):
            list(reply)
    return remote_error(refusal.value)
