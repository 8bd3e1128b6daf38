"""What the log tells of each rpc of the registry: what it is about, who asked, and how it ended."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from fakes.registry.registry_client import Client, publication_parts
from parfocal.registry import Publication
from parfocal.v1 import registry_service_pb2 as pb

Write = Callable[..., Path]


@pytest.fixture
def published(
    client: Client, adapter: Write, publication: Publication, caplog: pytest.LogCaptureFixture
) -> Client:
    caplog.set_level(logging.INFO, "parfocal.access")
    client.publish(publication_parts(adapter(fill=1), publication))
    client.stub.SetAlias(pb.SetAliasRequest(name="team/x", alias="prod", version=1, actor="ann"))
    return client


def told(caplog: pytest.LogCaptureFixture, rpc: str) -> dict[str, object]:
    """Returns the facts of the line about an rpc, which is written when its caller has the reply already."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        lines = [
            record for record in caplog.records if record.getMessage().endswith(f"RegistryService/{rpc}")
        ]
        if lines:
            facts: dict[str, object] = dict(vars(lines[-1])["facts"])
            for varying in ("request_id", "total_s", "peer"):
                del facts[varying]
            return facts
        time.sleep(0.001)
    raise AssertionError(f"no line about {rpc}")


def test_a_publication_is_told_with_what_it_became(
    published: Client, adapter: Write, publication: Publication, caplog: pytest.LogCaptureFixture
) -> None:
    version = published.publish(publication_parts(adapter(fill=2), publication))
    published.stub.GetVersion(pb.GetVersionRequest(name="team/x", version=2))

    became = {"status": "OK", "name": "team/x", "adapter": "team/x@2", "digest": version.digest}
    assert told(caplog, "PublishVersion") == became
    assert told(caplog, "GetVersion") == became | {"version": 2}


def test_a_move_of_an_alias_is_told_with_who_moved_it(
    published: Client, caplog: pytest.LogCaptureFixture
) -> None:
    published.stub.SetAlias(pb.SetAliasRequest(name="team/x", alias="dev", version=1, actor="ann"))

    assert told(caplog, "SetAlias") == {
        "status": "OK",
        "name": "team/x",
        "alias": "dev",
        "version": 1,
        "actor": "ann",
    }


@pytest.mark.parametrize(
    ("rpc", "request_", "expected"),
    [
        (
            "ResolveAdapter",
            pb.ResolveAdapterRequest(reference="team/x@nope"),
            {"status": "NOT_FOUND", "reason": "ALIAS_NOT_FOUND", "reference": "team/x@nope"},
        ),
        (
            "SetAlias",
            pb.SetAliasRequest(name="team/x", alias="prod", version=1, expected_version=0, actor="ben"),
            {
                "status": "FAILED_PRECONDITION",
                "reason": "ALIAS_MOVED",
                "name": "team/x",
                "alias": "prod",
                "version": 1,
                "expected_version": 0,
                "actor": "ben",
            },
        ),
        (
            "DeleteVersion",
            pb.DeleteVersionRequest(name="team/x", version=1),
            {"status": "FAILED_PRECONDITION", "reason": "VERSION_IN_USE", "name": "team/x", "version": 1},
        ),
    ],
)
def test_a_refusal_is_told_with_what_was_asked(
    published: Client,
    caplog: pytest.LogCaptureFixture,
    rpc: str,
    request_: object,
    expected: dict[str, object],
) -> None:
    with pytest.raises(grpc.RpcError):
        getattr(published.stub, rpc)(request_)

    assert told(caplog, rpc) == expected
