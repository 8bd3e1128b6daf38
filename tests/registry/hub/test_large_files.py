"""Git LFS, as clients before 1.0 send large files: where to, what came, and whether it is that."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from fakes.registry.hub_server import Answer, Hub
from fakes.registry.tiny_adapters import CONFIG, WEIGHTS, write_tiny_adapter
from parfocal.registry import FolderRegistry
from parfocal.registry.errors import InvalidUpload, Overloaded
from parfocal.registry.faces.hub.errors import RouteUnknown
from parfocal.registry.faces.hub.uploading import Arrival, Tickets

REPO = "team/new"
OLD = {"user-agent": "unknown/None; hf_hub/0.36.2; python/3.11"}


@pytest.fixture
def folder(api: HfApi, tmp_path: Path) -> Path:
    """An adapter, whose repository is there."""
    api.create_repo(REPO)
    return write_tiny_adapter(tmp_path / "adapter", rank=256)


def _object(folder: Path, **changes: object) -> dict[str, object]:
    content = (folder / WEIGHTS).read_bytes()
    return {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), **changes}


def _batch(served: Hub, *objects: object, **changes: object) -> Answer:
    asked = {"operation": "upload", "transfers": ["basic"], "objects": objects, "hash_algo": "sha256"}
    return served.ask("POST", f"/{REPO}.git/info/lfs/objects/batch", json.dumps(asked | changes).encode())


def _actions(answer: Answer) -> dict[str, str]:
    """Paths by action."""
    objects = answer.json()["objects"]
    assert isinstance(objects, list)
    told: dict[str, dict[str, dict[str, str]]] = objects[0]
    return {name: "/" + each["href"].split("/", 3)[3] for name, each in told.get("actions", {}).items()}


def _commit(served: Hub, folder: Path, **changes: object) -> Answer:
    config = {"content": base64.b64encode((folder / CONFIG).read_bytes()).decode(), "path": CONFIG}
    pointer = {"path": WEIGHTS, "algo": "sha256", **_object(folder), **changes}
    lines = [("header", {"summary": "s"}), ("file", {**config, "encoding": "base64"}), ("lfsFile", pointer)]
    body = "\n".join(json.dumps({"key": key, "value": value}) for key, value in lines)
    return served.ask("POST", f"/api/models/{REPO}/commit/main", body.encode())


@pytest.mark.parametrize(("agent", "mode"), [(OLD, "lfs"), ({"user-agent": "hf_hub/2.4.0"}, "regular")])
def test_only_who_can_send_large_files_is_asked_to(
    served: Hub, folder: Path, agent: dict[str, str], mode: str
) -> None:
    sizes = {WEIGHTS: (folder / WEIGHTS).stat().st_size, CONFIG: (folder / CONFIG).stat().st_size}
    files = [{"path": path, "size": size, "sample": ""} for path, size in sizes.items()]

    answer = served.ask(
        "POST", f"/api/models/{REPO}/preupload/main", json.dumps({"files": files}).encode(), agent
    )

    told = {each["path"]: each["uploadMode"] for each in answer.json()["files"]}  # type: ignore[attr-defined]
    assert told == {WEIGHTS: mode, CONFIG: "regular"}


def test_a_large_file_comes_before_its_commit(
    registry: FolderRegistry, served: Hub, folder: Path, tmp_path: Path
) -> None:
    actions = _actions(_batch(served, _object(folder)))

    assert served.ask("PUT", actions["upload"], (folder / WEIGHTS).read_bytes()).status == 200
    verified = served.ask("POST", actions["verify"], json.dumps(_object(folder)).encode())
    assert verified.status == 200
    assert _actions(_batch(served, _object(folder))) == {}  # it has come
    assert _commit(served, folder).status == 200

    kept = registry.materialise(registry.resolve(REPO).digest)
    assert (kept / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    assert not list((tmp_path / "home").glob("*/objects/*/*/*"))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: bytes([content[0] ^ 1]) + content[1:],
    ],
    ids=["short", "long", "changed"],
)
def test_what_is_not_what_was_announced_is_refused(
    served: Hub, folder: Path, change: Callable[[bytes], bytes]
) -> None:
    actions = _actions(_batch(served, _object(folder)))
    content = (folder / WEIGHTS).read_bytes()

    assert served.ask("PUT", actions["upload"], change(content)).status == 400
    assert served.ask("POST", actions["verify"], json.dumps(_object(folder)).encode()).status == 404
    assert _commit(served, folder).status == 400
    assert served.ask("PUT", actions["upload"], content).status == 200  # once more, and right


def test_a_wrong_answer_to_verify_is_refused(served: Hub, folder: Path) -> None:
    actions = _actions(_batch(served, _object(folder)))
    served.ask("PUT", actions["upload"], (folder / WEIGHTS).read_bytes())

    for wrong in (_object(folder, size=1), _object(folder, oid="0" * 64)):
        assert served.ask("POST", actions["verify"], json.dumps(wrong).encode()).status == 404
    assert _commit(served, folder, size=1).status == 400


@pytest.mark.parametrize(
    "body",
    [
        {"operation": "download"},
        {"hash_algo": "sha512"},
        {"objects": "all"},
        {"objects": [{"oid": "../../etc", "size": 1}]},
        {"objects": [{"oid": "0" * 64, "size": -1}]},
        {"objects": [{"oid": "0" * 64}]},
        {"objects": [5]},
    ],
)
def test_a_batch_that_makes_no_sense_is_refused(served: Hub, folder: Path, body: dict[str, object]) -> None:
    assert _batch(served, _object(folder), **body).status == 400


def test_a_ticket_is_for_one_file_and_an_hour(served: Hub, tmp_path: Path) -> None:
    assert served.ask("PUT", "/lfs/made-up", b"x").status == 404
    now = [0.0]
    tickets = Tickets(lambda: now[0])
    word = tickets.give(REPO, "0" * 64, 3)
    arrival = Arrival(tmp_path / "object", tickets.shown(word))
    arrival.add(b"abc")
    with pytest.raises(InvalidUpload):
        arrival.finish()

    now[0] = 3601.0
    with pytest.raises(RouteUnknown):
        tickets.shown(word)


def test_there_are_only_so_many_tickets() -> None:
    tickets = Tickets(lambda: 0.0)
    for _ in range(10_000):
        tickets.give(REPO, "0" * 64, 3)

    with pytest.raises(Overloaded):
        tickets.give(REPO, "0" * 64, 3)
