"""Bytes on their way to a client: ranges, resumption, and what is not what was published."""

import http.client
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from hypothesis import given
from hypothesis import strategies as st

from fakes.registry.hub_server import Hub
from parfocal.registry import FolderRegistry
from parfocal.registry.faces.hub.errors import RangeBeyond
from parfocal.registry.faces.hub.ranges import wanted

WEIGHTS = "adapter_model.safetensors"
URL = f"/team/invoices/resolve/main/{WEIGHTS}"
Folders = tuple[Path, Path]


@given(st.integers(1, 300), st.integers(0, 400), st.integers(0, 400))
def test_a_range_is_what_slicing_gives(size: int, begin: int, length: int) -> None:
    content = bytes(place % 251 for place in range(size))
    last = begin + length
    for header, expected in (
        (f"bytes={begin}-{last}", content[begin : last + 1]),
        (f"bytes={begin}-", content[begin:]),
        (f"bytes=-{length}", content[-length:] if length else b""),
    ):
        if not expected:
            with pytest.raises(RangeBeyond):
                wanted(header, size)
        else:
            span = wanted(header, size)
            assert span is not None
            assert content[span.begin : span.end] == expected


@pytest.mark.parametrize("header", ["", "bytes=-", "bytes=5-2", "items=1-2", "bytes=1-2,4-5", "bytes=a-b"])
def test_what_is_no_range_means_the_whole(header: str) -> None:
    assert wanted(header, 10) is None


def test_a_part_arrives_as_a_part(served: Hub, invoices: Folders) -> None:
    content = (invoices[1] / WEIGHTS).read_bytes()

    answer = served.ask("GET", URL, headers={"range": "bytes=10-19"})

    assert (answer.status, answer.body) == (206, content[10:20])
    assert answer.headers["content-range"] == f"bytes 10-19/{len(content)}"
    assert answer.headers["content-length"] == "10"


def test_a_part_of_another_file_is_the_whole_of_this_one(served: Hub, invoices: Folders) -> None:
    answer = served.ask("GET", URL, headers={"range": "bytes=10-", "if-range": '"another"'})

    assert (answer.status, answer.body) == (200, (invoices[1] / WEIGHTS).read_bytes())


def test_bytes_after_the_end_are_refused(served: Hub, invoices: Folders) -> None:
    size = (invoices[1] / WEIGHTS).stat().st_size

    answer = served.ask("GET", URL, headers={"range": f"bytes={size}-"})

    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{size}")


def test_the_card_can_be_had_in_parts_too(served: Hub, invoices: Folders) -> None:
    url = "/team/invoices/resolve/main/README.md"
    whole = served.ask("GET", url).body

    assert served.ask("GET", url, headers={"range": "bytes=4-"}).body == whole[4:]


def test_a_download_goes_on_where_it_broke_off(
    registry: FolderRegistry, api: HfApi, invoices: Folders, tmp_path: Path
) -> None:
    content = (invoices[1] / WEIGHTS).read_bytes()
    digest = next(
        file.digest for file in registry.resolve("team/invoices").manifest.files if file.path == WEIGHTS
    )
    blobs = tmp_path / "cache" / "models--team--invoices" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{digest.removeprefix('sha256:')}.incomplete").write_bytes(content[:100])

    found = api.hf_hub_download("team/invoices", WEIGHTS, cache_dir=tmp_path / "cache")

    assert Path(found).read_bytes() == content


def _spoil(registry: FolderRegistry) -> None:
    """Changes a byte of the weights of the newest version, wherever the registry has them."""
    digest = next(
        file.digest for file in registry.resolve("team/invoices").manifest.files if file.path == WEIGHTS
    ).removeprefix("sha256:")
    blob = registry.path / "blobs" / "sha256" / digest[:2] / digest
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    os.chmod(blob, 0o600)
    blob.write_bytes(bytes(content))


@pytest.mark.parametrize("asked", [{}, {"range": "bytes=0-9"}])
def test_rotten_bytes_never_leave(
    registry: FolderRegistry, served: Hub, invoices: Folders, asked: dict[str, str]
) -> None:
    _spoil(registry)

    answer = served.ask("GET", URL, headers=asked)

    assert (answer.status, answer.json()["reason"]) == (500, "BLOB_CORRUPT")


def test_a_client_never_takes_rotten_bytes_for_a_file(
    registry: FolderRegistry, api: HfApi, invoices: Folders, tmp_path: Path
) -> None:
    _spoil(registry)

    with pytest.raises(HfHubHTTPError, match="adapter_model"):
        api.hf_hub_download("team/invoices", WEIGHTS, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("snapshots/*/*"))


def test_what_rots_under_way_is_never_whole(
    served: Hub, registry: FolderRegistry, adapter: Callable[..., Path], invoices: Folders
) -> None:
    """The file is exchanged between its check and its first byte, as a failing disk might."""
    from parfocal.registry.errors import BlobCorrupt
    from parfocal.registry.faces.hub.downloads import FileResponse
    from parfocal.registry.faces.hub.entries import entries_of

    version = registry.resolve("team/invoices")
    entry = next(each for each in entries_of(version.manifest) if each.path == WEIGHTS)
    content = bytearray((registry.materialise(version.digest) / WEIGHTS).read_bytes())
    content[0] ^= 1

    sent = _sent_of(lambda threads, source: FileResponse(entry, None, source, threads, {}), bytes(content))

    with pytest.raises(BlobCorrupt):
        sent()


def _sent_of(make: Callable[..., object], content: bytes) -> Callable[[], bytes]:
    import asyncio
    from io import BytesIO

    from parfocal.registry.faces.threads import Threads

    async def run() -> bytes:
        sent: list[bytes] = []

        async def send(message: dict[str, object]) -> None:
            body = message.get("body", b"")
            assert isinstance(body, bytes)
            sent.append(body)

        await make(Threads(1, "test"), BytesIO(content))({}, None, send)  # type: ignore[operator]
        return b"".join(sent)

    return lambda: asyncio.run(run())


def test_a_head_costs_no_bytes(served: Hub, invoices: Folders) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.request("HEAD", URL)
    response = connection.getresponse()
    size = (invoices[1] / WEIGHTS).stat().st_size

    assert (response.status, response.getheader("content-length"), response.read()) == (200, str(size), b"")
    assert response.getheader("x-repo-commit")
    connection.request("GET", URL)  # the connection goes on
    assert len(connection.getresponse().read()) == size
    connection.close()
