"""What a bucket can do wrong: lose bytes, refuse, and be half written; and what is done about it."""

import io
import resource
import threading
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fakes.registry.bucket_server import BUCKET, BucketServer
from fakes.registry.publisher import numbered_adapter
from parfocal.registry import Publication, SharedRegistry, StorageAddress, StoredRegistry, Version
from parfocal.registry.blobs.objects import ObjectBlobs, ObjectJournal, Waits, open_bucket
from parfocal.registry.copies import LocalCopies
from parfocal.registry.disk import be_patient_until
from parfocal.registry.errors import BlobCorrupt, BlobsUnreachable, RegistryFull
from parfocal.registry.index.sqlite import SqliteIndex
from parfocal.registry.values import hex_of


@pytest.fixture
def url(bucket_host: BucketServer) -> str:
    return bucket_host.new_bucket()


@pytest.fixture
def registry(url: str, tmp_path: Path) -> SharedRegistry:
    """A registry with a file of names, and blobs in a bucket."""
    return SharedRegistry(StorageAddress(f"sqlite://{tmp_path}/index.sqlite", url), cache=tmp_path / "cache")


def keys(host: BucketServer, url: str) -> set[str]:
    client = host.client()
    prefix = urlsplit(url).path[1:]
    found = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", [])
    client.close()
    return {each["Key"].removeprefix(f"{prefix}/") for each in found}


def spoil(host: BucketServer, url: str, version: Version) -> str:
    """Changes a byte of a version's weights in the bucket and returns their digest."""
    entry = version.manifest.files[1]
    name = hex_of(entry.digest)
    key = f"{urlsplit(url).path[1:]}/blobs/sha256/{name[:2]}/{name}"
    client = host.client()
    client.put_object(Bucket=BUCKET, Key=key, Body=b"\0" * entry.size)
    client.close()
    return entry.digest


def test_a_rotten_blob_is_named_and_quarantined_and_published_again(
    registry: SharedRegistry, bucket_host: BucketServer, url: str, publication: Publication, tmp_path: Path
) -> None:
    version = registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    digest = spoil(bucket_host, url, version)
    with pytest.raises(BlobCorrupt, match="moved to quarantine/") as refused:
        registry.materialise(version.digest)
    assert refused.value.metadata["digest"] == digest
    assert any(key.startswith(f"quarantine/{hex_of(digest)}-") for key in keys(bucket_host, url))
    assert [(bad.digest, bad.problem) for bad in registry.verify().bad] == [(digest, "missing")]
    assert registry.publish("x", numbered_adapter(tmp_path, 1), publication) == version
    assert len(list(registry.materialise(version.digest).iterdir())) == 2
    assert registry.verify().is_sound


def test_verification_names_a_rotten_blob_and_who_needs_it(
    registry: SharedRegistry, bucket_host: BucketServer, url: str, publication: Publication, tmp_path: Path
) -> None:
    version = registry.publish("team/x", numbered_adapter(tmp_path, 1), publication)
    digest = spoil(bucket_host, url, version)
    (bad,) = registry.verify().bad
    assert (bad.digest, bad.problem, bad.versions) == (digest, "corrupt", ("team/x@1",))


def test_a_bucket_that_refuses_for_a_while_is_asked_again(
    registry: SharedRegistry, bucket_host: BucketServer, publication: Publication, tmp_path: Path
) -> None:
    bucket_host.refusals = 3
    version = registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    assert bucket_host.refusals == 0
    bucket_host.refusals = 2
    assert len(list(registry.materialise(version.digest).iterdir())) == 2


def test_a_bucket_that_goes_on_refusing_is_given_up_in_time_and_nothing_is_published(
    registry: SharedRegistry, bucket_host: BucketServer, publication: Publication, tmp_path: Path
) -> None:
    folder = numbered_adapter(tmp_path, 1)
    bucket_host.refusals = 10**6
    be_patient_until(0.0)
    try:
        with pytest.raises(BlobsUnreachable, match="try again later"):
            registry.publish("x", folder, publication)
    finally:
        bucket_host.refusals = 0
        be_patient_until(float("inf"))
    assert registry.adapters().items == ()
    assert registry.publish("x", folder, publication).version == 1


def test_a_bucket_that_answers_too_late_is_given_up_and_what_it_wrote_does_not_count(
    bucket_host: BucketServer, url: str, publication: Publication, tmp_path: Path
) -> None:
    index = SqliteIndex(tmp_path / "index.sqlite", lambda: None)
    blobs = ObjectBlobs(open_bucket(url, Waits(read_s=0.2, in_all_s=0.5)), tmp_path / "staging")
    registry = StoredRegistry("here", index, blobs, [LocalCopies(tmp_path / "copies")])
    first = registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    bucket_host.delay_s = 1.0
    try:
        with pytest.raises(BlobsUnreachable, match="try again later") as refused:
            registry.publish("x", numbered_adapter(tmp_path, 2), publication)
        with pytest.raises(BlobsUnreachable, match="try again later"):
            registry.materialise(first.digest)
    finally:
        bucket_host.delay_s = 0.0
    assert refused.value.status == "UNAVAILABLE"
    time.sleep(1.5)  # until the server has done what nobody waits for any more
    assert [version.version for version in registry.versions("x").items] == [1]
    assert [*registry.verify().bad, *registry.verify_history().faults] == []
    assert registry.publish("x", numbered_adapter(tmp_path, 2), publication).version == 2
    assert registry.verify().is_sound
    index.close()


def test_an_upload_that_breaks_off_leaves_nothing_to_see(
    url: str, bucket_host: BucketServer, tmp_path: Path
) -> None:
    class Breaking(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            if not data:
                raise OSError("the disk is gone")
            return data

    blobs = ObjectBlobs(open_bucket(url), tmp_path / "staging")
    with pytest.raises(Exception, match="the disk is gone"):
        blobs.put(Breaking(b"half"))
    assert keys(bucket_host, url) == set()
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_full_disk_of_copies_is_told_and_the_registry_goes_on(
    registry: SharedRegistry, publication: Publication, tmp_path: Path
) -> None:
    version = registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        with pytest.raises(RegistryFull):
            registry.materialise(version.digest)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "cache" / "staging").iterdir()) == []
    assert len(list(registry.materialise(version.digest).iterdir())) == 2


def test_a_journal_becomes_few_objects_and_keeps_every_event(
    registry: SharedRegistry, bucket_host: BucketServer, url: str, publication: Publication, tmp_path: Path
) -> None:
    registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    registry.set_alias("x", "prod", 1)
    registry.delete_alias("x", "prod")
    journal = ObjectJournal(open_bucket(url))
    assert [event.sequence for event in journal.read()] == [1, 2, 3]
    first = next(journal.read())
    journal.extend(lambda after: [replace(first, sequence=number) for number in range(after + 1, 1003)])
    assert journal.is_intact()
    last = ObjectJournal(open_bucket(url)).last()
    assert last is not None and last.sequence == 1002
    chapters = sorted(key for key in keys(bucket_host, url) if key.startswith("journal/"))
    assert [key.rpartition("/")[2] for key in chapters] == [
        "000000000000001-000000000001000.jsonl",
        "000000000001001-000000000001002.jsonl",
    ]


def test_a_bucket_tells_the_time_by_its_own_clock_and_keeps_nothing_of_it(
    url: str, bucket_host: BucketServer, tmp_path: Path
) -> None:
    blobs = ObjectBlobs(open_bucket(url), tmp_path / "staging")
    before = blobs.moment()
    blobs.put(io.BytesIO(b"x"))
    (blob,) = blobs.stored()
    after = blobs.moment()
    assert before is not None and after is not None and blob.stored_at is not None
    assert before <= blob.stored_at <= after
    assert not any(key.startswith("uploads/") for key in keys(bucket_host, url))


def test_a_slow_bucket_ends_what_it_began_and_holds_up_nobody_who_needs_none_of_it(
    registry: SharedRegistry, bucket_host: BucketServer, publication: Publication, tmp_path: Path
) -> None:
    first = registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    second = numbered_adapter(tmp_path, 2)
    published: list[Version] = []
    publishing = threading.Thread(target=lambda: published.append(registry.publish("x", second, publication)))
    bucket_host.delay_s = 0.7
    try:
        publishing.start()
        assert registry.resolve("x") == first
        assert [each.version for each in registry.versions("x").items] == [1]
        assert publishing.is_alive()
        assert registry.set_alias("x", "prod", 1).version == 1
        publishing.join(60)
        (version,) = published
        folder = registry.materialise(version.digest)
    finally:
        bucket_host.delay_s = 0.0
        publishing.join(60)
    assert sorted(path.name for path in folder.iterdir()) == [file.path for file in version.manifest.files]
    assert registry.verify().is_sound
