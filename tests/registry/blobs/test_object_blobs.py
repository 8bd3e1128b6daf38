"""Blobs as objects, where nobody is in the way: what clean removes, and what it leaves."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parfocal.registry.blobs.objects import ObjectBlobs, open_bucket

HOUR_S = 3600
ABANDON = """
import os, sys
from pathlib import Path
from parfocal.registry.disk import Staging
with Staging(Path(sys.argv[1])).work_folder() as work:
    (work / "blob").write_bytes(b"half")
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


@pytest.fixture
def blobs(tmp_path: Path, bucket: Path) -> ObjectBlobs:
    return ObjectBlobs(open_bucket(f"file://{bucket}"), tmp_path / "staging")


def test_clean_removes_uploads_that_are_older_than_a_day_and_nothing_else(
    blobs: ObjectBlobs, bucket: Path
) -> None:
    blob = blobs.put(io.BytesIO(b"kept"))
    for name, age_s in (("old", 25 * HOUR_S), ("young", 23 * HOUR_S)):
        upload = bucket / "uploads" / name
        upload.parent.mkdir(exist_ok=True)
        upload.write_bytes(b"half")
        os.utime(upload, (time.time() - age_s,) * 2)
    for old in bucket.rglob("blobs/**/*"):
        os.utime(old, (0, 0))
    blobs.clean()
    assert [file.name for file in (bucket / "uploads").iterdir()] == ["young"]
    with blobs.open(blob.digest) as file:
        assert file.read() == b"kept"


def test_clean_removes_what_a_killed_process_staged_on_this_machine(
    blobs: ObjectBlobs, tmp_path: Path
) -> None:
    staging = tmp_path / "staging"
    killed = subprocess.run([sys.executable, "-c", ABANDON, staging], check=False)
    assert killed.returncode == -9
    assert any(staging.glob("*/blob"))
    with blobs.stage() as under_way:
        under_way.fill(io.BytesIO(b"not done yet"))
        blobs.clean()
        with under_way.open() as file:
            assert file.read() == b"not done yet"
        assert len(list(staging.glob("*/blob"))) == 1
    assert list(staging.iterdir()) == []
