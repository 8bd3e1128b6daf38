"""The Hub's own client reads a registry, and cannot tell."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.repocard import ModelCard

from fakes.registry.hub_server import Hub
from parfocal.registry import CanaryPlan, FolderRegistry, Publication
from parfocal.registry.cards import card
from parfocal.registry.faces.hub.lists import Search, search
from parfocal.rpc.access import ANYBODY

WEIGHTS = "adapter_model.safetensors"
FILES = ["README.md", "adapter_config.json", WEIGHTS, "parfocal_manifest.json"]
Folders = tuple[Path, Path]


def _sha(registry: FolderRegistry, reference: str) -> str:
    return registry.resolve(reference).digest.removeprefix("sha256:")[:40]


@pytest.mark.parametrize(
    ("revision", "reference"),
    [
        (None, "team/invoices"),
        ("main", "team/invoices@2"),
        ("prod", "team/invoices@1"),
        ("1", "team/invoices@1"),
        ("refs/tags/prod", "team/invoices@1"),
        ("refs/heads/main", "team/invoices@2"),
    ],
)
def test_a_revision_is_the_version_that_it_names(
    registry: FolderRegistry, api: HfApi, invoices: Folders, revision: str | None, reference: str
) -> None:
    assert api.model_info("team/invoices", revision=revision).sha == _sha(registry, reference)


def test_a_commit_stays_what_it_was(registry: FolderRegistry, api: HfApi, invoices: Folders) -> None:
    sha = _sha(registry, "team/invoices@1")

    for written in (sha, sha[:12], f"sha256:{sha}"):
        assert api.model_info("team/invoices", revision=written).sha == sha


def test_a_file_arrives_under_the_commit_that_it_is_of(
    registry: FolderRegistry, api: HfApi, invoices: Folders, tmp_path: Path
) -> None:
    for revision, folder in (("prod", invoices[0]), (None, invoices[1])):
        found = Path(
            api.hf_hub_download("team/invoices", WEIGHTS, revision=revision, cache_dir=tmp_path / "cache")
        )
        assert found.read_bytes() == (folder / WEIGHTS).read_bytes()
        assert found.parent.name == _sha(registry, f"team/invoices@{revision or 'latest'}")


def test_a_snapshot_is_the_version_with_its_card(
    registry: FolderRegistry, api: HfApi, invoices: Folders, tmp_path: Path
) -> None:
    folder = Path(api.snapshot_download("team/invoices", cache_dir=tmp_path / "cache"))

    version = registry.resolve("team/invoices")
    assert sorted(path.name for path in folder.iterdir()) == FILES
    copied = registry.materialise(version.digest)
    for entry in version.manifest.files:
        assert (folder / entry.path).read_bytes() == (copied / entry.path).read_bytes()
    assert ModelCard.load(folder / "README.md").data.to_dict()["base_model"] == "small-base"


def test_the_clients_own_check_finds_its_copy_whole(api: HfApi, invoices: Folders, tmp_path: Path) -> None:
    api.snapshot_download("team/invoices", cache_dir=tmp_path / "cache")

    found = api.verify_repo_checksums("team/invoices", cache_dir=tmp_path / "cache")

    assert (found.checked_count, found.mismatches, found.missing_paths, found.extra_paths) == (4, [], [], [])


def test_names_and_numbers_are_refs(registry: FolderRegistry, api: HfApi, invoices: Folders) -> None:
    refs = api.list_repo_refs("team/invoices")

    first, second = _sha(registry, "team/invoices@1"), _sha(registry, "team/invoices@2")
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": second, "prod": first}
    assert {ref.name: ref.target_commit for ref in refs.tags} == {"prod": first, "1": first, "2": second}


def test_versions_are_commits(registry: FolderRegistry, api: HfApi, invoices: Folders) -> None:
    first, second = _sha(registry, "team/invoices@1"), _sha(registry, "team/invoices@2")

    assert [commit.commit_id for commit in api.list_repo_commits("team/invoices")] == [second, first]
    assert [each.commit_id for each in api.list_repo_commits("team/invoices", revision="prod")] == [first]


def test_a_listing_tells_sizes_and_digests(registry: FolderRegistry, api: HfApi, invoices: Folders) -> None:
    info = api.model_info("team/invoices", files_metadata=True)

    assert info.siblings is not None
    digests = {each.rfilename: each.lfs.sha256 for each in info.siblings if each.lfs is not None}
    files = registry.resolve("team/invoices").manifest.files
    assert digests == {file.path: file.digest.removeprefix("sha256:") for file in files}
    assert api.list_repo_files("team/invoices", revision="prod") == FILES
    [readme] = api.get_paths_info("team/invoices", ["README.md", "absent"])
    assert readme.path == "README.md"


def test_an_adapter_without_a_namespace_has_the_default_one(
    registry: FolderRegistry, api: HfApi, adapter: Callable[..., Path], publication: Publication
) -> None:
    registry.publish("alone", adapter(), publication)

    assert [model.id for model in api.list_models()] == ["default/alone"]
    assert api.model_info("default/alone").sha == api.model_info("alone").sha


@pytest.mark.parametrize("repo", ["nobody/nothing", "alone", "Meta-Llama/Llama"])
def test_what_nobody_published_is_no_repository(api: HfApi, tmp_path: Path, repo: str) -> None:
    assert not api.repo_exists(repo)
    with pytest.raises(RepositoryNotFoundError):
        api.hf_hub_download(repo, WEIGHTS, cache_dir=tmp_path / "cache")


def test_an_alias_with_a_canary_is_the_version_that_it_points_at(
    registry: FolderRegistry, api: HfApi, invoices: Folders
) -> None:
    registry.set_canary("team/invoices", "prod", CanaryPlan(2, 5000))
    first = _sha(registry, "team/invoices@1")
    assert api.model_info("team/invoices", revision="prod").sha == first
    refs = api.list_repo_refs("team/invoices")
    assert {ref.name: ref.target_commit for ref in refs.tags}["prod"] == first


@pytest.mark.parametrize("revision", ["staging", "3", "refs/pr/1", "0" * 40, "UPPER", "../../etc"])
def test_what_nobody_named_is_no_revision(
    api: HfApi, invoices: Folders, tmp_path: Path, revision: str
) -> None:
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download("team/invoices", WEIGHTS, revision=revision, cache_dir=tmp_path / "cache")


def test_what_a_version_does_not_have_is_remembered_as_absent(
    registry: FolderRegistry, served: Hub, api: HfApi, invoices: Folders, tmp_path: Path
) -> None:
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download("team/invoices", "model.safetensors", cache_dir=tmp_path / "cache")

    [known] = (tmp_path / "cache").rglob(".no_exist/*/model.safetensors")
    assert known.parent.name == _sha(registry, "team/invoices")


@pytest.mark.parametrize(
    "path",
    ["../../index.sqlite", "..%2F..%2Findex.sqlite", "%2Fetc%2Fpasswd", "a%00b", "adapter_config.json%2F.."],
)
def test_a_path_leads_nowhere_else(served: Hub, invoices: Folders, path: str) -> None:
    answer = served.ask("GET", f"/team/invoices/resolve/main/{path}")

    assert (answer.status, answer.headers["x-error-code"]) == (404, "EntryNotFound")


def test_a_deleted_version_is_gone(registry: FolderRegistry, api: HfApi, invoices: Folders) -> None:
    sha = _sha(registry, "team/invoices@2")
    registry.delete_version("team/invoices", 2)

    assert not api.revision_exists("team/invoices", sha)
    assert api.model_info("team/invoices").sha == _sha(registry, "team/invoices@1")


def test_lists_find_by_text_owner_base_and_tag(
    registry: FolderRegistry, api: HfApi, invoices: Folders, adapter: Callable[..., Path]
) -> None:
    tagged = Publication(unverified_base=True, tags=("orders", "language:de"))
    registry.publish("other/orders", adapter(base="elsewhere"), tagged)

    def found(**asked: str) -> list[str]:
        return [model.id for model in api.list_models(**asked)]  # type: ignore[arg-type]

    assert found() == ["other/orders", "team/invoices"]
    assert found(search="INVOI") == ["team/invoices"]
    assert found(author="other") == ["other/orders"]
    assert found(filter="base_model:elsewhere") == ["other/orders"]
    assert found(filter="peft", sort="last_modified") == ["other/orders", "team/invoices"]
    assert found(filter="diffusers") == []
    assert found(filter="language:de") == ["other/orders"]
    assert [each.id for each in api.list_models(filter=["orders", "base_model:adapter:elsewhere"])] == [
        "other/orders"
    ]
    assert list(api.list_models(filter=["orders", "base_model:small-base"])) == []
    assert list(api.list_models(filter=["base_model:elsewhere", "base_model:small-base"])) == []
    assert found(filter="No Tag") == []
    assert {"orders", "language:de"} <= set(api.model_info("other/orders").tags or ())


def test_a_list_goes_on_page_by_page(
    registry: FolderRegistry, served: Hub, adapter: Callable[..., Path], publication: Publication
) -> None:
    folder = adapter()
    for number in range(5):
        registry.publish(f"team/n{number}", folder, publication)

    names, path = [], "/api/models?limit=2"
    while path:
        answer = served.ask("GET", path)
        names += [each["id"] for each in _lines(answer.body)]
        link = answer.headers.get("link", "")
        path = link.partition(">")[0].removeprefix(f"<{served.endpoint}") if link else ""

    assert names == [f"team/n{number}" for number in range(5)]


def _lines(body: bytes) -> list[dict[str, str]]:
    import json

    found = json.loads(body)
    assert isinstance(found, list)
    return found


def test_a_made_up_cursor_is_refused(served: Hub) -> None:
    for query in ("cursor=%21%21", "limit=many"):
        answer = served.ask("GET", f"/api/models?{query}")
        assert answer.status == 400, query


def test_an_adapter_whose_versions_are_gone_is_not_listed(
    registry: FolderRegistry, invoices: Folders, api: HfApi
) -> None:
    registry.delete_adapter("team/invoices", force=True)

    assert search(registry, ANYBODY, Search()).repos == []
    assert not api.repo_exists("team/invoices")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api/datasets/team/x", 404),
        ("PATCH", "/api/models/team/invoices", 404),
        ("GET", "/team/invoices.git/info/refs?service=git-upload-pack", 404),
        ("GET", "/api/models/team/invoices/xet-write-token/main", 404),
    ],
)
def test_what_is_not_served_is_said(
    served: Hub, invoices: Folders, method: str, path: str, status: int
) -> None:
    answer = served.ask(method, path)

    assert answer.status == status
    assert "x-error-code" not in answer.headers
    assert answer.json()["reason"] == "ROUTE_UNKNOWN"


def test_a_refusal_in_a_header_is_one_line_of_ascii(served: Hub) -> None:
    answer = served.ask("HEAD", "/%0D%0Aset-cookie:%20x%E2%82%AC/resolve/main/f")

    assert answer.status == 404
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-error-message"].isascii()


def test_a_card_is_the_same_for_ever(registry: FolderRegistry, invoices: Folders) -> None:
    manifest = registry.resolve("team/invoices").manifest

    assert card(manifest) == card(type(manifest).from_bytes(manifest.to_bytes()))
    assert str(datetime.now(UTC).year) not in card(manifest).decode()


def test_a_wrong_endpoint_says_who_answers(api: HfApi) -> None:
    with pytest.raises(HfHubHTTPError, match="registry of adapters"):
        api.dataset_info("team/data")
