"""The Hub's own client writes a registry: one version when all has come, nothing before."""

import base64
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from fakes.key_files import given_key
from fakes.registry.hub_server import Answer, Hub, hub
from fakes.registry.tiny_adapters import CONFIG, WEIGHTS, write_tiny_adapter
from parfocal.registry import FolderRegistry, VersionNotFound
from parfocal.registry.errors import AdapterNotFound
from parfocal.registry.faces import ServiceLimits
from parfocal.rpc import Guard
from parfocal.rpc.access import KeysInForce

REPO = "team/new"
TEMPLATE = "chat_template.jinja"
Write = Callable[..., Path]


@pytest.fixture
def tiny(tmp_path: Path) -> Write:
    """Returns a function that writes an adapter of the embedded base."""

    def write(fill: int = 1, **more: object) -> Path:
        return write_tiny_adapter(tmp_path / f"tiny-{fill}", fill, **more)  # type: ignore[arg-type]

    return write


@dataclass(frozen=True)
class Shelf:
    """A registry with an empty repository, and how it is reached."""

    registry: FolderRegistry
    served: Hub
    api: HfApi

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was published, and nothing waits."""
        return (_versions(self.registry), _staged(self.api)) == ([], [])


@pytest.fixture
def shelf(registry: FolderRegistry, served: Hub, api: HfApi, repo: str) -> Shelf:
    return Shelf(registry, served, api)


@pytest.fixture
def repo(api: HfApi) -> str:
    api.create_repo(REPO)
    return REPO


def _add(name: str, folder: Path) -> CommitOperationAdd:
    return CommitOperationAdd(name, folder / name)


def _versions(registry: FolderRegistry) -> list[int]:
    try:
        return [version.version for version in registry.versions(REPO).items]
    except AdapterNotFound:
        return []


def _identity(folder: Path) -> tuple[int, bytes]:
    """What of both files tells one adapter of these tests from another."""
    return json.loads((folder / CONFIG).read_text())["lora_alpha"], (folder / WEIGHTS).read_bytes()


def _staged(api: HfApi) -> list[dict[str, object]]:
    staged = api.model_info(REPO).parfocal["staged"]  # type: ignore[attr-defined]
    assert isinstance(staged, list)
    return staged


def test_a_folder_becomes_one_version(registry: FolderRegistry, api: HfApi, repo: str, tiny: Write) -> None:
    folder = tiny()
    for name in ("README.md", "training_args.bin", "runs/events.out", "optimizer.pt"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"---\nbase_model: tiny\n---\n")

    done = api.upload_folder(repo_id=repo, folder_path=folder)

    version = registry.resolve(repo)
    assert (version.version, version.digest[7:47]) == (1, done.oid)
    kept = registry.materialise(version.digest)
    assert (kept / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    assert version.manifest.contract.base.verified


def test_the_same_folder_is_the_same_version(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    oids = {api.upload_folder(repo_id=repo, folder_path=tiny()).oid for _ in range(2)}

    assert (len(oids), _versions(registry)) == (1, [1])


def test_a_new_repository_holds_nothing_and_can_be_looked_at(api: HfApi, repo: str) -> None:
    assert api.list_repo_files(repo) == []
    assert api.model_info(repo).sha is None
    assert api.list_repo_refs(repo).branches == []
    assert list(api.list_models()) == []
    with pytest.raises(RevisionNotFoundError, match="has no version yet"):
        api.model_info(repo, revision="main")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo(repo)


def test_files_one_by_one_are_one_version_when_the_last_has_come(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    folder = tiny()

    waiting = api.upload_file(path_or_fileobj=folder / CONFIG, path_in_repo=CONFIG, repo_id=repo)
    assert _versions(registry) == []
    [staged] = _staged(api)
    assert (staged["files"], staged["waits_for"], staged["commit"]) == ([CONFIG], [WEIGHTS], waiting.oid)
    with pytest.raises(RevisionNotFoundError, match="waits for"):
        api.hf_hub_download(repo, CONFIG, cache_dir=folder / "cache")
    with pytest.raises(RevisionNotFoundError):
        api.create_tag(repo, tag="prod")

    done = api.upload_file(path_or_fileobj=folder / WEIGHTS, path_in_repo=WEIGHTS, repo_id=repo)
    assert registry.resolve(repo).digest[7:47] == done.oid
    assert _staged(api) == []


def test_what_was_announced_is_waited_for(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    """As a client does whose first commit is full after the weights."""
    folder = tiny()
    (folder / TEMPLATE).write_text("{{ messages[0].content }}")
    adds = [_add(name, folder) for name in (CONFIG, WEIGHTS, TEMPLATE)]
    api.preupload_lfs_files(repo, adds)

    api.create_commit(repo, adds[:2], commit_message="part 1")
    assert _versions(registry) == []
    assert _staged(api)[0]["waits_for"] == [TEMPLATE]
    api.create_commit(repo, adds[2:], commit_message="part 2")

    assert [file.path for file in registry.resolve(repo).manifest.files] == [CONFIG, WEIGHTS, TEMPLATE]


def test_an_upload_that_begins_anew_keeps_nothing_of_the_one_before(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    old, new = tiny(1), tiny(2)
    (old / TEMPLATE).write_text("{{ messages[0].content }}")
    adds = [_add(name, old) for name in (CONFIG, WEIGHTS, TEMPLATE)]
    api.preupload_lfs_files(repo, adds)
    api.create_commit(repo, adds[:2], commit_message="part 1, and no more")

    api.upload_folder(repo_id=repo, folder_path=new)

    version = registry.resolve(repo)
    assert [file.path for file in version.manifest.files] == [CONFIG, WEIGHTS]
    assert (registry.materialise(version.digest) / WEIGHTS).read_bytes() == (new / WEIGHTS).read_bytes()
    assert (_versions(registry), _staged(api)) == ([1], [])


def test_a_part_of_another_upload_is_refused(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    """Two who cannot be told apart: one key, one machine."""
    mine, theirs = tiny(1), tiny(2, config={"lora_alpha": 32})
    (mine / TEMPLATE).write_text("{{ messages[0].content }}")
    my_adds = [_add(name, mine) for name in (CONFIG, WEIGHTS, TEMPLATE)]
    their_adds = [_add(name, theirs) for name in (CONFIG, WEIGHTS)]
    api.preupload_lfs_files(repo, my_adds)
    api.create_commit(repo, my_adds[:2], commit_message="part 1")
    api.preupload_lfs_files(repo, their_adds)

    with pytest.raises(HfHubHTTPError, match="not of the upload"):
        api.create_commit(repo, my_adds[2:], commit_message="part 2")
    assert _versions(registry) == []


def test_two_who_upload_at_once_get_a_whole_version_each(
    registry: FolderRegistry, served: Hub, repo: str, tiny: Write
) -> None:
    folders = [tiny(fill, config={"lora_alpha": fill}) for fill in (1, 2, 3, 4)]
    failures: list[BaseException] = []

    def upload(folder: Path) -> None:
        try:
            HfApi(endpoint=served.endpoint, token=False).upload_folder(repo_id=repo, folder_path=folder)
        except HfHubHTTPError as error:
            failures.append(error)

    threads = [threading.Thread(target=upload, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    whole = {
        (json.loads((f / CONFIG).read_text())["lora_alpha"], (f / WEIGHTS).read_bytes()) for f in folders
    }
    for version in registry.versions(repo).items:
        kept = registry.materialise(version.digest)
        alpha = json.loads((kept / CONFIG).read_text())["lora_alpha"]
        assert (alpha, (kept / WEIGHTS).read_bytes()) in whole
    assert len(_versions(registry)) + len(failures) == len(folders)
    assert all("not of the upload" in str(error) for error in failures)


def test_two_keys_upload_file_by_file_beside_each_other(
    registry: FolderRegistry, tiny: Write, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.jsonl"
    texts = [given_key(keys, "publish:team/*", name=name) for name in ("ana", "ben")]
    with hub(registry, tmp_path / "home", Guard(KeysInForce(keys))) as served:
        apis = [HfApi(endpoint=served.endpoint, token=text) for text in texts]
        folders = [tiny(1), tiny(2)]
        apis[0].create_repo(REPO)
        for name in (CONFIG, WEIGHTS):
            for client, folder in zip(apis, folders, strict=True):
                client.upload_file(path_or_fileobj=folder / name, path_in_repo=name, repo_id=REPO)
        assert [each["uploader"] for each in _staged(apis[0])] == []

    kept = [(registry.materialise(v.digest) / WEIGHTS).read_bytes() for v in registry.versions(REPO).items]
    assert sorted(kept) == sorted((folder / WEIGHTS).read_bytes() for folder in folders)


def test_what_waits_outlives_the_server(registry: FolderRegistry, tiny: Write, tmp_path: Path) -> None:
    folder = tiny()
    for name in (CONFIG, WEIGHTS):
        with hub(registry, tmp_path / "home") as served:
            client = HfApi(endpoint=served.endpoint, token=False)
            client.create_repo(REPO, exist_ok=True)
            client.upload_file(path_or_fileobj=folder / name, path_in_repo=name, repo_id=REPO)

    assert _versions(registry) == [1]


def test_a_commit_to_an_alias_publishes_and_moves_it(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    api.upload_folder(repo_id=repo, folder_path=tiny(1))
    api.create_branch(repo, branch="dev")

    api.upload_folder(repo_id=repo, folder_path=tiny(2), revision="dev")

    assert [(alias.alias, alias.version) for alias in registry.aliases(repo)] == [("dev", 2)]
    with pytest.raises(RevisionNotFoundError):
        api.upload_folder(repo_id=repo, folder_path=tiny(3), revision="nowhere")
    with pytest.raises(BadRequestError, match="no branch"):
        api.upload_folder(repo_id=repo, folder_path=tiny(3), revision="1")
    assert _versions(registry) == [2, 1]


def test_moving_an_alias_takes_the_scope_for_it(
    registry: FolderRegistry, tiny: Write, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.jsonl"
    publishes = given_key(keys, "publish:team/*")
    with hub(registry, tmp_path / "home", Guard(KeysInForce(keys))) as served:
        client = HfApi(endpoint=served.endpoint, token=publishes)
        client.create_repo(REPO)
        client.upload_folder(repo_id=REPO, folder_path=tiny(1))
        registry.set_alias(REPO, "prod", 1)
        with pytest.raises(HfHubHTTPError, match="needs promote:team/new"):
            client.upload_folder(repo_id=REPO, folder_path=tiny(2), revision="prod")
        with pytest.raises(HfHubHTTPError, match="needs publish:other/new"):
            client.create_repo("other/new")
        with pytest.raises(HfHubHTTPError, match="needs admin:team/new"):
            client.delete_repo(REPO)
    assert _versions(registry) == [1]


def test_a_parent_that_is_not_the_newest_is_refused(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    one = api.upload_folder(repo_id=repo, folder_path=tiny(1)).oid
    two = api.upload_folder(repo_id=repo, folder_path=tiny(2), parent_commit=one).oid

    with pytest.raises(HfHubHTTPError, match="412"):
        api.upload_folder(repo_id=repo, folder_path=tiny(3), parent_commit=one)
    api.upload_folder(repo_id=repo, folder_path=tiny(3), parent_commit=two)

    assert _versions(registry) == [3, 2, 1]


def test_tags_and_branches_are_aliases(registry: FolderRegistry, api: HfApi, repo: str, tiny: Write) -> None:
    for fill in (1, 2):
        api.upload_folder(repo_id=repo, folder_path=tiny(fill))

    api.create_tag(repo, tag="prod", revision="1")
    api.create_branch(repo, branch="next")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag(repo, tag="prod", revision="2")
    api.create_tag(repo, tag="prod", revision="2", exist_ok=True)
    api.create_branch(repo, branch="main", exist_ok=True)
    assert {each.alias: each.version for each in registry.aliases(repo)} == {"prod": 1, "next": 2}
    for word in ("Prod", "3", "latest"):
        with pytest.raises(BadRequestError, match="aliases here"):
            api.create_tag(repo, tag=word)

    api.delete_tag(repo, tag="prod")
    api.delete_branch(repo, branch="next")
    assert registry.aliases(repo) == []
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(repo, tag="prod")
    for kept in ("main", "1"):
        with pytest.raises(BadRequestError):
            api.delete_branch(repo, branch=kept)


def test_a_repository_is_deleted_with_its_versions_and_what_waits(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    api.upload_folder(repo_id=repo, folder_path=tiny(1))
    api.upload_file(path_or_fileobj=tiny(2) / CONFIG, path_in_repo=CONFIG, repo_id=repo)
    registry.set_alias(repo, "prod", 1)
    with pytest.raises(HfHubHTTPError, match="409"):
        api.delete_repo(repo)
    registry.delete_alias(repo, "prod")

    api.delete_repo(repo)

    assert not api.repo_exists(repo)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(repo)
    api.delete_repo(repo, missing_ok=True)
    with pytest.raises((AdapterNotFound, VersionNotFound)):
        registry.resolve(repo)


def test_files_of_a_version_are_not_deleted(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    api.upload_folder(repo_id=repo, folder_path=tiny(1))

    with pytest.raises(BadRequestError, match="never changes"):
        api.delete_file(WEIGHTS, repo)
    with pytest.raises(EntryNotFoundError):
        api.delete_file("absent.txt", repo)
    api.upload_folder(repo_id=repo, folder_path=tiny(2), delete_patterns="*")
    assert _versions(registry) == [2, 1]


def test_a_file_that_waits_can_be_taken_back(api: HfApi, repo: str, tiny: Write) -> None:
    api.upload_file(path_or_fileobj=tiny() / CONFIG, path_in_repo=CONFIG, repo_id=repo)

    api.create_commit(repo, [CommitOperationDelete(CONFIG)], commit_message="no")

    assert _staged(api) == []


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
    assert _versions(shelf.registry) == [1]


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


def test_ten_thousand_files_are_looked_at_and_two_are_sent(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    folder = tiny()
    logs = folder / "logs"
    logs.mkdir()
    for number in range(10_000):
        (logs / f"{number}.txt").touch()

    api.upload_folder(repo_id=repo, folder_path=folder)

    assert _versions(registry) == [1]


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
    assert not list((tmp_path / "home").glob("*/work/*/*"))


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
        if not list((tmp_path / "home").glob("*/work/*")):
            break
        waited.wait(0.1)
    assert not list((tmp_path / "home").glob("*/work/*"))
    assert (_versions(registry), _staged(api)) == ([], [])


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
