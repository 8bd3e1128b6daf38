"""Domain errors become rich statuses and come back whole. No server here."""

import base64
import urllib.error
import urllib.parse
from email.message import Message

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

from parfocal.rpc.remote import remote_error
from parfocal.rpc.status import is_domain_error, rich_status

TrailingMetadata = tuple[tuple[str, str | bytes], ...]
TRAILING_BYTES_THAT_CLIENTS_ACCEPT = 8192


class Refused(Exception):
    """A domain error with everything that one may have."""

    status = "NOT_FOUND"
    reason = "ADAPTER_NOT_FOUND"

    def __init__(self, message: str = "no such adapter", **attributes: object) -> None:
        super().__init__(message)
        self.metadata: object = {}
        for name, value in attributes.items():
            setattr(self, name, value)


def failed_call(error: Refused) -> grpc.aio.AioRpcError:
    """Returns what a client gets when a server ends an rpc with the error's status."""
    status = rpc_status.to_status(rich_status(error))
    return rpc_error(status.code, status.details, status.trailing_metadata)


def rpc_error(code: grpc.StatusCode, details: str, trailing: TrailingMetadata = ()) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details, None)


def trailing_bytes(status: status_pb2.Status) -> int:
    """Returns what the status takes on the wire: its message percent-encoded, and all of it in base64."""
    return len(urllib.parse.quote(status.message)) + len(base64.b64encode(status.SerializeToString()))


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_canonical_code_reaches_the_caller(code: grpc.StatusCode) -> None:
    remote = remote_error(failed_call(Refused(status=code.name)))

    assert (remote.status, remote.reason, str(remote)) == (code.name, "ADAPTER_NOT_FOUND", "no such adapter")


def test_metadata_reaches_the_caller() -> None:
    remote = remote_error(failed_call(Refused(metadata={"adapter": "team/invoices", "message": "any key"})))

    assert remote.metadata == {"adapter": "team/invoices", "message": "any key"}


def test_the_error_info_names_our_domain() -> None:
    info = error_details_pb2.ErrorInfo()

    assert rich_status(Refused()).details[0].Unpack(info)
    assert info.domain == "parfocal"


def test_a_field_at_fault_becomes_a_bad_request() -> None:
    violation = error_details_pb2.BadRequest()

    assert rich_status(Refused(field="sampling.top_p")).details[1].Unpack(violation)
    assert [fault.field for fault in violation.field_violations] == ["sampling.top_p"]
    assert remote_error(failed_call(Refused(field="sampling.top_p"))).field == "sampling.top_p"


def test_a_hint_when_to_retry_becomes_retry_info() -> None:
    retry = error_details_pb2.RetryInfo()

    assert rich_status(Refused(retry_after_s=1.5)).details[1].Unpack(retry)
    assert retry.retry_delay.ToNanoseconds() == 1_500_000_000
    assert remote_error(failed_call(Refused(retry_after_s=1.5))).retry_after_s == 1.5


def test_a_remote_error_can_be_sent_on() -> None:
    error = Refused(metadata={"adapter": "team/invoices"}, field="adapter", retry_after_s=2.0)

    assert rich_status(remote_error(failed_call(error))) == rich_status(error)


@pytest.mark.parametrize(
    "error",
    [ValueError("no status"), Refused(status=404), Refused(status="OK"), Refused(status="NO_SUCH_CODE")],
)
def test_an_error_without_a_canonical_code_is_not_a_domain_error(error: Exception) -> None:
    assert not is_domain_error(error)


def test_an_http_error_is_not_a_domain_error() -> None:
    with urllib.error.HTTPError("http://localhost", 404, "Not Found", Message(), None) as error:
        assert not is_domain_error(error)


def test_a_failure_without_details_has_its_code_as_reason() -> None:
    error = rpc_error(grpc.StatusCode.UNAVAILABLE, "refused")

    assert remote_error(error).reason == "UNAVAILABLE"


def test_details_that_contradict_the_status_are_ignored() -> None:
    trailing = rpc_status.to_status(rich_status(Refused())).trailing_metadata
    rewritten = rpc_error(grpc.StatusCode.UNAVAILABLE, "gateway", trailing)

    assert (remote_error(rewritten).status, remote_error(rewritten).reason) == ("UNAVAILABLE", "UNAVAILABLE")


@given(
    message=st.text(st.characters(codec=None), max_size=3000),
    metadata=st.dictionaries(st.text(max_size=400), st.text(max_size=2000), max_size=20),
    field=st.text(max_size=1000),
)
def test_a_status_is_never_larger_than_clients_accept(
    message: str, metadata: dict[str, str], field: str
) -> None:
    error = Refused(message, metadata=metadata, field=field, retry_after_s=1.0)

    assert trailing_bytes(rich_status(error)) < TRAILING_BYTES_THAT_CLIENTS_ACCEPT - 512


@pytest.mark.parametrize("character", ["x", "é", "€", "🔬"])
def test_a_message_of_any_length_and_script_is_cut_to_what_clients_accept(character: str) -> None:
    flood = character * 100_000
    error = Refused(flood, metadata={"adapter": flood, "version": flood}, field=flood, retry_after_s=1.0)

    status = rich_status(error)

    assert status.message.startswith(character * 200) and status.message.endswith("…")
    assert trailing_bytes(status) < TRAILING_BYTES_THAT_CLIENTS_ACCEPT - 512


def test_a_message_with_a_broken_file_name_still_arrives() -> None:
    assert rich_status(Refused("cannot read 'caf\udce9'")).message == "cannot read 'caf?'"
