"""The Hub's own client writes a registry: one version when all has come, nothing before."""

import json
import threading
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
from fakes.registry.hub_server import Hub, hub
from fakes.registry.hub_shelf import REPO, Write, staged, versions
from fakes.registry.tiny_adapters import CONFIG, WEIGHTS
from parfocal.registry import FolderRegistry, VersionNotFound
from parfocal.registry.errors import AdapterNotFound
from parfocal.registry.gates import BelowBase, Gate
from parfocal.rpc import Guard
from parfocal.rpc.access import KeysInForce

TEMPLATE = "chat_template.jinja"


def _add(name: str, folder: Path) -> CommitOperationAdd:
    return CommitOperationAdd(name, folder / name)


def _identity(folder: Path) -> tuple[int, bytes]:
    """What of both files tells one adapter of these tests from another."""
    return json.loads((folder / CONFIG).read_text())["lora_alpha"], (folder / WEIGHTS).read_bytes()


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

    assert (len(oids), versions(registry)) == (1, [1])


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
    assert versions(registry) == []
    [waits] = staged(api)
    assert (waits["files"], waits["waits_for"], waits["commit"]) == ([CONFIG], [WEIGHTS], waiting.oid)
    with pytest.raises(EntryNotFoundError, match="waits for"):
        api.hf_hub_download(repo, CONFIG, cache_dir=folder / "cache")
    with pytest.raises(RevisionNotFoundError):
        api.create_tag(repo, tag="prod")

    done = api.upload_file(path_or_fileobj=folder / WEIGHTS, path_in_repo=WEIGHTS, repo_id=repo)
    assert registry.resolve(repo).digest[7:47] == done.oid
    assert staged(api) == []


def test_what_was_announced_is_waited_for(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    """As a client does whose first commit is full after the weights."""
    folder = tiny()
    (folder / TEMPLATE).write_text("{{ messages[0].content }}")
    adds = [_add(name, folder) for name in (CONFIG, WEIGHTS, TEMPLATE)]
    api.preupload_lfs_files(repo, adds)

    api.create_commit(repo, adds[:2], commit_message="part 1")
    assert versions(registry) == []
    assert staged(api)[0]["waits_for"] == [TEMPLATE]
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
    assert (versions(registry), staged(api)) == ([1], [])


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
    assert versions(registry) == []


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

    threads = [threading.Thread(target=upload, args=(folder,), daemon=True) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    whole = {
        (json.loads((f / CONFIG).read_text())["lora_alpha"], (f / WEIGHTS).read_bytes()) for f in folders
    }
    for version in registry.versions(repo).items:
        kept = registry.materialise(version.digest)
        alpha = json.loads((kept / CONFIG).read_text())["lora_alpha"]
        assert (alpha, (kept / WEIGHTS).read_bytes()) in whole
    assert len(versions(registry)) + len(failures) == len(folders)
    assert all("not of the upload" in str(error) for error in failures)


def test_of_two_with_one_key_who_send_file_by_file_neither_gets_files_of_the_other(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    """As they are equally long and begin alike, the weights do not tell whose they are."""
    mine, theirs = tiny(1), tiny(2, config={"lora_alpha": 32})
    api.upload_file(path_or_fileobj=mine / CONFIG, path_in_repo=CONFIG, repo_id=repo)
    for folder, name in ((theirs, CONFIG), (mine, WEIGHTS), (theirs, WEIGHTS)):
        with pytest.raises(HfHubHTTPError, match="may be of either"):
            api.upload_file(path_or_fileobj=folder / name, path_in_repo=name, repo_id=repo)
    assert versions(registry) == []

    api.upload_folder(repo_id=repo, folder_path=theirs)
    api.upload_folder(repo_id=repo, folder_path=mine)

    kept = [registry.materialise(version.digest) for version in registry.versions(repo).items]
    assert list(map(_identity, kept)) == [_identity(mine), _identity(theirs)]


def test_a_file_that_was_taken_back_may_be_sent_anew(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    old, new = tiny(1), tiny(2, config={"lora_alpha": 32})
    api.upload_file(path_or_fileobj=old / CONFIG, path_in_repo=CONFIG, repo_id=repo)
    api.delete_file(CONFIG, repo)

    for name in (CONFIG, WEIGHTS):
        api.upload_file(path_or_fileobj=new / name, path_in_repo=name, repo_id=repo)

    assert _identity(registry.materialise(registry.resolve(repo).digest)) == _identity(new)


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
        assert [each["uploader"] for each in staged(apis[0])] == []

    kept = [(registry.materialise(v.digest) / WEIGHTS).read_bytes() for v in registry.versions(REPO).items]
    assert sorted(kept) == sorted((folder / WEIGHTS).read_bytes() for folder in folders)


def test_what_waits_outlives_the_server(registry: FolderRegistry, tiny: Write, tmp_path: Path) -> None:
    folder = tiny()
    for name in (CONFIG, WEIGHTS):
        with hub(registry, tmp_path / "home") as served:
            client = HfApi(endpoint=served.endpoint, token=False)
            client.create_repo(REPO, exist_ok=True)
            client.upload_file(path_or_fileobj=folder / name, path_in_repo=name, repo_id=REPO)

    assert versions(registry) == [1]


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
    assert versions(registry) == [2, 1]


def test_a_commit_that_the_gate_of_an_alias_refuses_is_published_and_moves_nothing(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    api.upload_folder(repo_id=repo, folder_path=tiny(1))
    api.create_branch(repo, branch="dev")
    registry.set_gate(repo, "dev", Gate((BelowBase(),)))

    with pytest.raises(BadRequestError, match=r"gate of team/new@dev refuses version 2.* is not recorded"):
        api.upload_folder(repo_id=repo, folder_path=tiny(2), revision="dev")
    assert (versions(registry), staged(api), registry.aliases(repo)[0].version) == ([2, 1], [], 1)
    api.upload_folder(repo_id=repo, folder_path=tiny(3))
    assert versions(registry) == [3, 2, 1]


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
    assert versions(registry) == [1]


def test_a_parent_that_is_not_the_newest_is_refused(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    one = api.upload_folder(repo_id=repo, folder_path=tiny(1)).oid
    two = api.upload_folder(repo_id=repo, folder_path=tiny(2), parent_commit=one).oid

    with pytest.raises(HfHubHTTPError, match="412"):
        api.upload_folder(repo_id=repo, folder_path=tiny(3), parent_commit=one)
    api.upload_folder(repo_id=repo, folder_path=tiny(3), parent_commit=two)

    assert versions(registry) == [3, 2, 1]


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
    assert versions(registry) == [2, 1]


def test_a_file_that_waits_can_be_taken_back(api: HfApi, repo: str, tiny: Write) -> None:
    api.upload_file(path_or_fileobj=tiny() / CONFIG, path_in_repo=CONFIG, repo_id=repo)

    api.create_commit(repo, [CommitOperationDelete(CONFIG)], commit_message="no")

    assert staged(api) == []


def test_ten_thousand_files_are_looked_at_and_two_are_sent(
    registry: FolderRegistry, api: HfApi, repo: str, tiny: Write
) -> None:
    folder = tiny()
    logs = folder / "logs"
    logs.mkdir()
    for number in range(10_000):
        (logs / f"{number}.txt").touch()

    api.upload_folder(repo_id=repo, folder_path=folder)

    assert versions(registry) == [1]
