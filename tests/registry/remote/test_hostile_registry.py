"""A registry that answers something else than it was asked is believed nothing, and writes nothing."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest

from parfocal.registry import FileEntry, FolderRegistry, Manifest, Publication, Version
from parfocal.registry.errors import BlobCorrupt, FilterIgnored, IndexCorrupt, ReplyRefused
from parfocal.registry.gates import BelowBase, Gate
from parfocal.registry.peft import MAX_CONFIG_BYTES
from parfocal.registry.remote import RemoteRegistry
from parfocal.registry.values import MoveFilter, VersionFilter, digest_of
from parfocal.registry.wire import version_message
from parfocal.rpc import RemoteError
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1 import registry_service_pb2_grpc as pb_grpc

Write = Callable[..., Path]
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class Liar:
    """Answers rpcs with these messages, or with what these functions make of the request."""

    def __init__(self, answers: Mapping[str, object]) -> None:
        self._answers = answers

    def __getattr__(self, name: str) -> Callable[[object, object], object]:
        def answer(request: object, context: object) -> object:
            found = self._answers[name]
            return found(request) if callable(found) else found

        return answer


@contextmanager
def lying(tmp_path: Path, answers: Mapping[str, object], silence_s: float = 60) -> Iterator[RemoteRegistry]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    liar: Any = Liar(answers)
    pb_grpc.add_RegistryServiceServicer_to_server(liar, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield RemoteRegistry(f"127.0.0.1:{port}", cache=tmp_path / "cache", silence_s=silence_s)
    finally:
        server.stop(None).wait()


@pytest.fixture
def version(registry: FolderRegistry, adapter: Write, publication: Publication) -> Version:
    return registry.publish("team/x", adapter(), publication)


@pytest.fixture
def files(registry: FolderRegistry, version: Version) -> dict[str, bytes]:
    folder = registry.materialise(version.digest)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def with_manifest(version: Version, manifest: Manifest) -> Version:
    """The version with another manifest, whose digest it has."""
    return replace(version, manifest_bytes=manifest.to_bytes(), digest=manifest.digest, known=None)


def with_files(version: Version, files: dict[str, bytes]) -> Version:
    """The version as if these were its files, with the digests that they have."""
    entries = tuple(FileEntry(name, len(data), digest_of(data)) for name, data in sorted(files.items()))
    manifest = replace(version.manifest, files=entries)
    return with_manifest(version, manifest)


def sent(version: Version, files: dict[str, bytes]) -> list[pb.DownloadVersionResponse]:
    chunks = [pb.FileChunk(path=name, data=data) for name, data in sorted(files.items())]
    replies = [pb.DownloadVersionResponse(chunk=chunk) for chunk in chunks]
    return [pb.DownloadVersionResponse(version=version_message(version, [])), *replies]


def written(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]


EXTRA: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "a pickle": lambda files: {**files, "adapter_model.bin": b"\x80\x04."},
    "code": lambda files: {**files, "modeling_evil.py": b"print(1)"},
    "a tokenizer": lambda files: {**files, "tokenizer.json": b"{}"},
    "a path": lambda files: {**files, "../../evil": b"x"},
    "an absolute path": lambda files: {**files, "/tmp/evil": b"x"},
    "a hidden file": lambda files: {**files, ".bashrc": b"x"},
    "no configuration": lambda files: {WEIGHTS: files[WEIGHTS]},
    "no weights": lambda files: {CONFIG: files[CONFIG]},
    "an empty file": lambda files: {**files, CONFIG: b""},
    "a configuration that is too large": lambda files: {**files, CONFIG: bytes(MAX_CONFIG_BYTES + 1)},
    "nothing": lambda files: {},
}


@pytest.mark.parametrize("extra", EXTRA)
def test_only_the_known_files_of_an_adapter_are_taken(
    tmp_path: Path, version: Version, files: dict[str, bytes], extra: str
) -> None:
    evil = EXTRA[extra](files)
    lie = with_files(version, evil)
    answers = {
        "ResolveAdapter": version_message(lie, []),
        "ListVersions": pb.ListVersionsResponse(versions=[version_message(lie, [])]),
        "DownloadVersion": lambda request: iter(sent(lie, evil)),
    }
    with lying(tmp_path, answers) as remote:
        for ask in (
            lambda: remote.resolve("team/x"),
            lambda: remote.find(lie.digest),
            lambda: remote.materialise(lie.digest),
        ):
            with pytest.raises((ReplyRefused, IndexCorrupt)):
                ask()
    assert written(tmp_path) == []


def test_a_file_is_not_listed_twice(tmp_path: Path, version: Version, files: dict[str, bytes]) -> None:
    manifest = replace(version.manifest, files=(*version.manifest.files, version.manifest.files[0]))
    lie = with_manifest(version, manifest)
    with (
        lying(tmp_path, {"ResolveAdapter": version_message(lie, [])}) as remote,
        pytest.raises(IndexCorrupt),
    ):
        remote.resolve("team/x")


OTHER: dict[str, Callable[[adapter_pb2.Version], object]] = {
    "another name": lambda message: setattr(message, "name", "team/y"),
    "a name that is a path": lambda message: setattr(message, "name", "../x"),
    "a name that acts": lambda message: setattr(message, "name", "x\x1b[2J"),
    "a name that is not canonical": lambda message: setattr(message, "name", "default/x"),
    "another number": lambda message: setattr(message, "version", 2),
    "no number": lambda message: setattr(message, "version", 0),
    "a negative number": lambda message: setattr(message, "version", -1),
    "another digest": lambda message: setattr(message, "digest", f"sha256:{'0' * 64}"),
    "another manifest": lambda message: setattr(message, "manifest_json", b"{}"),
    "a time that no calendar has": lambda message: setattr(message.create_time, "seconds", 1 << 60),
}


@pytest.mark.parametrize("other", OTHER)
@pytest.mark.parametrize("reference", ["team/x@1", "team/x@{digest}"])
def test_the_version_is_the_one_that_was_asked_for(
    tmp_path: Path, version: Version, other: str, reference: str
) -> None:
    message = version_message(version, [])
    OTHER[other](message)
    is_right = other == "another number" and "digest" in reference
    with lying(tmp_path, {"ResolveAdapter": message}) as remote:
        if is_right:  # whatever its number is, it has the digest
            assert remote.resolve(reference.format(digest=version.digest)).digest == version.digest
            return
        with pytest.raises((ReplyRefused, BlobCorrupt)):
            remote.resolve(reference.format(digest=version.digest))


def alias(**fields: object) -> adapter_pb2.Alias:
    digest = f"sha256:{'0' * 64}"
    return adapter_pb2.Alias(**{"name": "team/x", "alias": "prod", "version": 1, "digest": digest, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields", [{"name": "team/y"}, {"alias": "beta"}, {"alias": "a\x1b"}, {"version": 7}, {"digest": "x"}]
)
def test_the_alias_is_the_one_that_was_moved(tmp_path: Path, fields: dict[str, object]) -> None:
    moved = alias(**fields)
    listed = pb.ListAliasesResponse(aliases=[moved])
    with lying(tmp_path, {"SetAlias": moved, "RollbackAlias": moved, "ListAliases": listed}) as remote:
        with pytest.raises(ReplyRefused):
            remote.set_alias("team/x", "prod", 1)
        if "version" not in fields:
            with pytest.raises(ReplyRefused):
                remote.rollback_alias("team/x", "prod", 2)
        if fields.keys() <= {"name", "digest"} or fields == {"alias": "a\x1b"}:
            with pytest.raises(ReplyRefused):
                remote.aliases("team/x")


def gate(**fields: object) -> adapter_pb2.Gate:
    rules = [adapter_pb2.GateRule(below_base=adapter_pb2.LossBelowBase())]
    return adapter_pb2.Gate(**{"name": "team/x", "alias": "prod", "rules": rules, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [{"name": "team/y"}, {"alias": "beta"}, {"rules": []}, {"rules": [adapter_pb2.GateRule()]}],
    ids=str,
)
def test_the_gate_is_the_one_that_was_asked_for(tmp_path: Path, fields: dict[str, object]) -> None:
    told = gate(**fields)
    with lying(tmp_path, {"GetGate": told, "SetGate": told}) as remote:
        with pytest.raises(ReplyRefused):
            remote.gate("team/x", "prod")
        with pytest.raises(ReplyRefused):
            remote.set_gate("team/x", "prod", Gate((BelowBase(),)))


MISSED = adapter_pb2.GateEvidence(rule="x", found="y")


@pytest.mark.parametrize(
    "told",
    [
        adapter_pb2.GateVerdict(version=1, passed=True, evidence=[MISSED]),
        adapter_pb2.GateVerdict(version=2, passed=False, evidence=[MISSED]),
        adapter_pb2.GateVerdict(version=1, passed=True),
    ],
    ids=["passed though missed", "of another version", "without evidence"],
)
def test_a_verdict_is_about_the_version_and_follows_from_its_evidence(
    tmp_path: Path, told: adapter_pb2.GateVerdict
) -> None:
    with lying(tmp_path, {"CheckGate": told}) as remote, pytest.raises(ReplyRefused):
        remote.check_gate("team/x", "prod", 1)


def endless(kind: str) -> dict[str, object]:
    """Lists with a next page for ever: of nothing, with the same token, or of the same."""
    tokens = count()

    def token() -> str:
        return "again" if kind == "the same token" else str(next(tokens))

    is_empty = kind == "nothing"
    move = adapter_pb2.AliasMove(name="team/x", alias="prod", version=1)
    summary = adapter_pb2.Adapter(name="team/x")
    return {
        "ListAdapters": lambda request: pb.ListAdaptersResponse(
            adapters=[] if is_empty else [summary], next_page_token=token()
        ),
        "ListAliases": lambda request: pb.ListAliasesResponse(
            aliases=[] if is_empty else [alias()], next_page_token=token()
        ),
        "ListAliasMoves": lambda request: pb.ListAliasMovesResponse(
            moves=[] if is_empty else [move], next_page_token=token()
        ),
    }


@pytest.mark.parametrize("kind", ["nothing", "the same token", "the same page"])
def test_a_list_that_does_not_go_on_ends(tmp_path: Path, kind: str) -> None:
    with lying(tmp_path, endless(kind)) as remote:
        with pytest.raises(ReplyRefused):
            remote.aliases("team/x")
        with pytest.raises(ReplyRefused):
            remote.alias_history("team/x", "prod")


def test_a_list_that_an_older_registry_did_not_filter_is_refused(tmp_path: Path) -> None:
    summary, base = adapter_pb2.Adapter(name="team/x"), VersionFilter(base="b")
    replies = {
        "ListAdapters": pb.ListAdaptersResponse(adapters=[summary], applied_filters=["base"]),
        "ListVersions": pb.ListVersionsResponse(),
        "ListAliasMoves": pb.ListAliasMovesResponse(),
    }
    with lying(tmp_path, replies) as remote:
        assert [each.name for each in remote.adapters(where=base).items] == ["team/x"]
        with pytest.raises(FilterIgnored, match="by tags"):
            remote.adapters(where=base.but(tags=("mail",)))
        with pytest.raises(FilterIgnored, match="by base"):
            remote.versions("team/x", where=base)
        with pytest.raises(FilterIgnored, match="by actor"):
            remote.alias_moves("team/x", where=MoveFilter("ann"))
        assert remote.versions("team/x").items == ()


@pytest.mark.parametrize("names", [["b", "a"], ["a", "a"], ["a", "../b"], ["A"]])
def test_a_list_is_sorted_and_names_what_can_exist(tmp_path: Path, names: list[str]) -> None:
    listed = pb.ListAdaptersResponse(adapters=[adapter_pb2.Adapter(name=name) for name in names])
    with lying(tmp_path, {"ListAdapters": listed}) as remote, pytest.raises(ReplyRefused):
        remote.adapters()


def test_a_stream_of_empty_pieces_ends(tmp_path: Path, version: Version) -> None:
    def forever(request: object) -> Iterator[pb.DownloadVersionResponse]:
        yield pb.DownloadVersionResponse(version=version_message(version, []))
        while True:
            yield pb.DownloadVersionResponse(chunk=pb.FileChunk(path=CONFIG))

    with lying(tmp_path, {"DownloadVersion": forever}) as remote, pytest.raises(BlobCorrupt):
        remote.materialise(version.digest)


def test_a_stream_that_falls_silent_ends(tmp_path: Path, version: Version) -> None:
    released = threading.Event()

    def silent(request: object) -> Iterator[pb.DownloadVersionResponse]:
        yield pb.DownloadVersionResponse(version=version_message(version, []))
        released.wait(30)

    with lying(tmp_path, {"DownloadVersion": silent}, silence_s=0.1) as remote:
        with pytest.raises(RemoteError, match=r"nothing for 0\.1 s") as ended:
            remote.materialise(version.digest)
        released.set()
    assert ended.value.status == "DEADLINE_EXCEEDED"


def test_pieces_beyond_the_files_are_not_written(
    tmp_path: Path, version: Version, files: dict[str, bytes]
) -> None:
    more = [*sent(version, files), pb.DownloadVersionResponse(chunk=pb.FileChunk(path="evil", data=b"x"))]
    with lying(tmp_path, {"DownloadVersion": lambda request: iter(more)}) as remote:
        folder = remote.materialise(version.digest)
    assert {path.name for path in folder.iterdir()} == set(files)


def test_a_link_in_a_cache_does_not_lead_to_files_elsewhere(
    tmp_path: Path, version: Version, files: dict[str, bytes]
) -> None:
    """Another user of the cache could make one: what does not belong to an adapter is removed."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    (tmp_path / "cache" / "materialised").mkdir(parents=True)
    hexadecimal = version.digest.removeprefix("sha256:")
    (tmp_path / "cache" / "materialised" / hexadecimal).symlink_to(tmp_path / "mine")
    with lying(tmp_path, {"DownloadVersion": lambda request: iter(sent(version, files))}) as remote:
        folder = remote.materialise(version.digest)
    assert {path.name for path in folder.iterdir()} == set(files)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a flood", "a link to a pipe"])
def test_a_manifest_in_a_cache_that_is_no_manifest_is_fetched_again(
    tmp_path: Path, version: Version, files: dict[str, bytes], kind: str
) -> None:
    place = tmp_path / "cache" / "manifests" / version.digest.removeprefix("sha256:")
    place.parent.mkdir(parents=True)
    if kind == "a folder":
        place.mkdir()
    elif kind == "a flood":
        place.touch()
        os.truncate(place, 1 << 40)
    else:
        os.mkfifo(tmp_path / "pipe")
        place.symlink_to(tmp_path / "pipe") if "link" in kind else os.rename(tmp_path / "pipe", place)
    with lying(tmp_path, {"DownloadVersion": lambda request: iter(sent(version, files))}) as remote:
        assert remote.manifest(version.digest) == version.manifest
