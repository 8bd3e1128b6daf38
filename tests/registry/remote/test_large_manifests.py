"""Manifests of thousands of modules reach a client with all their fields, which another process wrote."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.registry.peft_folders import Adapter, write_adapter
from fakes.registry.registry_client import Client
from parfocal.registry import BaseContract, Publication, Version
from parfocal.registry.values import Alias, digest_of
from parfocal.registry.wire import (
    ManifestFields,
    first_of_download_bytes,
    version_bytes,
    version_message,
    versions_bytes,
)
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb

LARGE = Adapter(rank=1, layers=range(1000))


@pytest.fixture
def large(client: Client, tmp_path: Path) -> Version:
    publication = Publication(BaseContract.unverified("small-base"), unverified_base=True)
    return client.registry.publish("team/large", write_adapter(tmp_path / "large", LARGE), publication)


def test_every_reply_with_a_large_manifest_has_its_fields(client: Client, large: Version) -> None:
    assert len(large.manifest_bytes) > 100_000
    expected = version_message(large, [])
    resolved = client.stub.ResolveAdapter(pb.ResolveAdapterRequest(reference="team/large"))
    got = client.stub.GetVersion(pb.GetVersionRequest(name="team/large", version=1))
    listed = client.stub.ListVersions(pb.ListVersionsRequest(name="team/large")).versions
    download = client.stub.DownloadVersion(pb.DownloadVersionRequest(reference="team/large"))
    assert [resolved, got, *listed, next(iter(download)).version] == [expected] * 4
    download.cancel()  # type: ignore[no-untyped-call]
    assert len(resolved.manifest.contract.targets) == 2000


def test_what_another_process_cannot_read_has_no_fields(large: Version) -> None:
    fields, later = ManifestFields(), large.manifest_bytes.replace(b'"schema":2', b'"schema":9')
    found = [
        fields(Version("team/large", 1, digest_of(data), data, large.created_at))
        for data in (large.manifest_bytes, large.manifest_bytes[:-1], later)
    ]
    fields.close()
    assert [bool(each) for each in found] == [True, False, False]
    assert adapter_pb2.Manifest.FromString(found[0]) == version_message(large, []).manifest


def test_bytes_that_lack_their_digest_have_no_fields(large: Version) -> None:
    fields = ManifestFields()
    assert fields(Version("x", 1, digest_of(b""), large.manifest_bytes, large.created_at)) == b""
    fields.close()


@given(
    name=st.text(max_size=300),
    number=st.integers(0, (1 << 31) - 1),
    aliases=st.lists(st.text(max_size=200), max_size=3),
    fields=st.integers(0, 20_000),
    manifest=st.binary(max_size=300),
)
def test_written_bytes_are_those_of_the_message(
    name: str, number: int, aliases: list[str], fields: int, manifest: bytes
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    pointing = [Alias(name, alias, number, "", "", now) for alias in aliases]
    told = adapter_pb2.Manifest(warnings=["x" * fields])
    version = Version(name, number, "", manifest, now)
    data = version_bytes(version, pointing, told.SerializeToString())
    read = adapter_pb2.Version.FromString(data)
    assert (read.name, read.version, read.manifest_json) == (name, number, manifest)
    assert read.manifest == told
    assert list(read.aliases) == sorted(aliases)
    page = pb.ListVersionsResponse.FromString(versions_bytes([data, data], name))
    assert (list(page.versions), page.next_page_token) == ([read, read], name)
    assert pb.DownloadVersionResponse.FromString(first_of_download_bytes(data)).version == read
