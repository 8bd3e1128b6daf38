"""What must not become a version, over the Hub's protocol: refused by name, and nothing of it is left."""

import base64
import json
import socket
import threading
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RepositoryNotFoundError

from fakes.registry.hub_server import Answer, Hub, hub
from fakes.registry.hub_shelf import RECEIVING, REPO, Shelf, Write, staged, versions
from fakes.registry.tiny_adapters import CONFIG, WEIGHTS
from parfocal.registry import FolderRegistry, Quotas
from parfocal.registry.faces import ServiceLimits


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.safetensors", "a whole model; adapters are published"),
        ("pytorch_model.bin", "a whole model"),
        ("adapter_model.bin", "a pickle"),
        ("model-q4.gguf", "a llama.cpp file"),
        ("adapters.safetensors", "an MLX adapter"),
        (f"checkpoint-5/{WEIGHTS}", "upload that folder alone"),
    ],
)
def test_what_is_no_adapter_is_refused_by_name_before_it_is_sent(
    shelf: Shelf, tmp_path: Path, name: str, said: str
) -> None:
    path = tmp_path / "other" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")

    with pytest.raises(BadRequestError, match=said):
        shelf.api.upload_folder(repo_id=REPO, folder_path=tmp_path / "other")
    assert shelf.is_untouched


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"base_model_name_or_path": "/home/ana/llama"}, "base_model_name_or_path"),
        ({"base_model_name_or_path": None}, "base"),
        ({"r": 8}, "rank|shape|r "),
    ],
)
def test_what_push_refuses_is_refused_here(
    shelf: Shelf, tiny: Write, config: dict[str, object], said: str
) -> None:
    with pytest.raises(BadRequestError, match=said):
        shelf.api.upload_folder(repo_id=REPO, folder_path=tiny(1, config=config))

    assert shelf.is_untouched
    shelf.api.upload_folder(repo_id=REPO, folder_path=tiny(2))  # the next one is not held up
    assert versions(shelf.registry) == [1]


def test_what_a_namespace_has_no_room_for_is_refused_here(shelf: Shelf, tiny: Write) -> None:
    shelf.registry.limit_to(Quotas.parse("*=/1"))
    shelf.api.upload_folder(repo_id=REPO, folder_path=tiny(1))
    with pytest.raises(HfHubHTTPError, match="may have 1: delete versions") as refused:
        shelf.api.upload_folder(repo_id=REPO, folder_path=tiny(2))
    assert refused.value.response.status_code == 507
    assert versions(shelf.registry) == [1]


@pytest.mark.parametrize("kind", ["dataset", "space"])
def test_other_kinds_of_repository_are_refused(api: HfApi, kind: str) -> None:
    with pytest.raises(BadRequestError, match="registry of adapters"):
        api.create_repo("team/data", repo_type=kind, space_sdk="static" if kind == "space" else None)


@pytest.mark.parametrize("name", ["Team/new", "team/N", "team/a..b", "a/b/c", "team/" + "x" * 64])
def test_a_name_that_no_adapter_can_have_is_refused(served: Hub, name: str) -> None:
    owner, _, rest = name.partition("/")

    answer = served.ask(
        "POST", "/api/repos/create", json.dumps({"organization": owner, "name": rest}).encode()
    )

    assert (answer.status, answer.json()["reason"]) == (400, "BAD_CALL")


def test_a_repository_must_be_created_first(api: HfApi, tiny: Write) -> None:
    with pytest.raises(RepositoryNotFoundError, match="create_repo"):
        api.upload_folder(repo_id="team/unknown", folder_path=tiny())


def _line(key: str, **value: object) -> bytes:
    return json.dumps({"key": key, "value": value}).encode() + b"\n"


def _file(path: str, content: bytes, **more: object) -> bytes:
    encoded = base64.b64encode(content).decode()
    return _line("file", **{"content": encoded, "path": path, "encoding": "base64", **more})


def _commit(served: Hub, body: bytes, revision: str = "main", query: str = "") -> Answer:
    return served.ask("POST", f"/api/models/{REPO}/commit/{revision}{query}", body)


HEADER = _line("header", summary="s", description="")


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a//b", "a/../b", ".git/config", "a\\b", "a\x00b", "", "x" * 1001]
)
def test_a_path_that_leads_elsewhere_is_refused(served: Hub, repo: str, path: str) -> None:
    commit = _commit(served, HEADER + _file(path, b"x"))
    sample = {"files": [{"path": path, "size": 1, "sample": "eA=="}]}
    told = served.ask("POST", f"/api/models/{REPO}/preupload/main", json.dumps(sample).encode())

    for answer in (commit, told):
        assert (answer.status, answer.json()["reason"]) == (400, "INVALID_UPLOAD"), answer.body


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"not json\n", "not JSON"),
        (b"[1]\n", "no object"),
        (_line("odd", path="x"), "unknown"),
        (_line("file", path=CONFIG), "without its content"),
        (_file(CONFIG, b"x", encoding="utf-8"), "base64"),
        (_line("file", content="a!!=", path=CONFIG, encoding="base64"), "not base64"),
        (_line("file", content="YQ==YQ==", path=CONFIG, encoding="base64"), "not base64"),
        (_line("file", content="YWJ", path=CONFIG, encoding="base64"), "breaks off"),
        (b'{"key":"file","value":{"content":"YWJj', "ends within"),
        (b'{"key":"file","value":{"content":"YQ==","content":"YQ=="}}\n', "two contents"),
        (_line("header", summary="s" * (300 << 10)), "more than"),
        (_line("lfsFile", path=WEIGHTS, oid="0" * 64, size=5), "never uploaded"),
        (_line("lfsFile", path=WEIGHTS, oid="../../x", size=5), "no sha256"),
        (_line("file", content="YQ==", path=5, encoding="base64"), "names no path"),
        (_file(CONFIG, b"x" * (5 << 20)), "at most"),
    ],
)
def test_a_commit_that_makes_no_sense_is_refused_and_leaves_nothing(
    shelf: Shelf, tmp_path: Path, body: bytes, said: str
) -> None:
    answer = _commit(shelf.served, HEADER + body)

    assert answer.status == 400, answer.body
    assert said in str(answer.json()["error"])
    assert shelf.is_untouched
    assert not list((tmp_path / "home").glob(f"{RECEIVING}/*"))


def test_a_head_with_two_lengths_ends_its_connection(served: Hub) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 30) as connection:
        head = b"POST /api/repos/create HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n"
        connection.sendall(head + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"AMBIGUOUS_LENGTH" in answer


def test_there_are_no_pull_requests(served: Hub, repo: str) -> None:
    assert "pull requests" in str(_commit(served, HEADER, query="?create_pr=1").json()["error"])


def test_an_upload_that_breaks_off_leaves_nothing(
    registry: FolderRegistry, served: Hub, api: HfApi, repo: str, tmp_path: Path
) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        head = f"POST /api/models/{REPO}/commit/main HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999\r\n\r\n"
        connection.sendall(head.encode() + HEADER + _file(WEIGHTS, b"x" * 3000)[:2000])

    waited = threading.Event()
    for _ in range(100):
        if not list((tmp_path / "home").glob(RECEIVING)):
            break
        waited.wait(0.1)
    assert not list((tmp_path / "home").glob(RECEIVING))
    assert (versions(registry), staged(api)) == ([], [])


def test_what_does_not_fit_is_refused(registry: FolderRegistry, tiny: Write, tmp_path: Path) -> None:
    folder = tiny()
    with hub(registry, tmp_path / "home", limits=ServiceLimits(max_upload_bytes=20_000)) as served:
        client = HfApi(endpoint=served.endpoint, token=False)
        client.create_repo(REPO)
        answer = _commit(served, HEADER + _file(WEIGHTS, (folder / WEIGHTS).read_bytes()))
        assert (answer.status, answer.json()["reason"]) == (429, "UPLOADS_FULL")
        assert "retry-after" in answer.headers
        client.upload_file(path_or_fileobj=folder / CONFIG, path_in_repo=CONFIG, repo_id=REPO)


def test_what_waits_counts_as_long_as_it_waits(registry: FolderRegistry, tiny: Write, tmp_path: Path) -> None:
    folder = tiny()
    size = (folder / WEIGHTS).stat().st_size
    with hub(registry, tmp_path / "home", limits=ServiceLimits(max_upload_bytes=2 * size)) as served:
        client = HfApi(endpoint=served.endpoint, token=False)
        for name in ("team/new", "team/other"):
            client.create_repo(name)
        client.upload_file(path_or_fileobj=folder / WEIGHTS, path_in_repo=WEIGHTS, repo_id="team/new")
        body = HEADER + _file(WEIGHTS, (folder / WEIGHTS).read_bytes())
        assert served.ask("POST", "/api/models/team/other/commit/main", body).status == 429
        client.delete_repo("team/new")
        client.create_repo("team/third")
        client.upload_file(path_or_fileobj=folder / CONFIG, path_in_repo=CONFIG, repo_id="team/third")
        assert served.ask("POST", "/api/models/team/other/commit/main", body).status == 200
