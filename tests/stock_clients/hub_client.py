"""What the Hub's own client does with a registry behind HF_ENDPOINT: `python hub_client.py REPO SCRATCH`.

Runs in any venv with huggingface_hub, of each of its three major lines; nothing of ours is imported.
"""

import json
import sys
from pathlib import Path

from huggingface_hub import HfApi, __version__, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from fakes.registry.tiny_adapters import CONFIG, WEIGHTS, write_tiny_adapter


def check(repo: str, scratch: Path) -> None:
    """Raises AssertionError where the registry is not what a Hub is."""
    api = HfApi()
    first, second = write_tiny_adapter(scratch / "first", 1), write_tiny_adapter(scratch / "second", 2)
    (first / "README.md").write_text("---\nbase_model: tiny\n---\nMine.\n")
    (first / "optimizer.pt").write_bytes(b"not kept")

    assert not api.repo_exists(repo)
    assert str(api.create_repo(repo, private=True).repo_id) == repo
    assert api.create_repo(repo, exist_ok=True).repo_id == repo
    assert api.list_repo_files(repo) == []
    one = api.upload_folder(repo_id=repo, folder_path=first).oid
    assert _weights(repo, one, scratch) == (first / WEIGHTS).read_bytes()
    assert sorted(api.list_repo_files(repo)) == ["README.md", CONFIG, WEIGHTS, "parfocal_manifest.json"]
    assert api.upload_folder(repo_id=repo, folder_path=first).oid == one  # content is identity

    api.upload_file(path_or_fileobj=second / CONFIG, path_in_repo=CONFIG, repo_id=repo)
    assert api.model_info(repo).sha == one  # what waits is no version
    two = api.upload_file(path_or_fileobj=second / WEIGHTS, path_in_repo=WEIGHTS, repo_id=repo).oid
    assert api.model_info(repo).sha == two != one
    assert [each.commit_id for each in api.list_repo_commits(repo)] == [two, one]

    api.create_tag(repo, tag="prod", revision=one)
    api.create_branch(repo, branch="next", revision=two)
    refs = api.list_repo_refs(repo)
    assert {each.name: each.target_commit for each in refs.branches} == {
        "main": two,
        "prod": one,
        "next": two,
    }
    assert {each.name for each in refs.tags} == {"prod", "next", "1", "2"}
    snapshot = Path(snapshot_download(repo, revision="prod", cache_dir=scratch / "snapshots"))
    assert snapshot.name == one
    assert json.loads((snapshot / CONFIG).read_text())["base_model_name_or_path"] == "tiny"
    assert repo in [each.id for each in api.list_models(search=repo.partition("/")[2])]

    _raises(RevisionNotFoundError, lambda: hf_hub_download(repo, CONFIG, revision="nowhere"))
    _raises(EntryNotFoundError, lambda: hf_hub_download(repo, "model.safetensors"))
    _raises(RepositoryNotFoundError, lambda: hf_hub_download("nobody/nothing", CONFIG))
    _raises(HfHubHTTPError, lambda: api.upload_folder(repo_id=repo, folder_path=first, parent_commit=one))
    model = scratch / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")
    _raises(HfHubHTTPError, lambda: api.upload_folder(repo_id=repo, folder_path=model))
    assert api.model_info(repo).sha == two

    large = write_tiny_adapter(scratch / "large", 3, rank=256)
    assert (large / WEIGHTS).stat().st_size > 1 << 20
    three = api.upload_folder(repo_id=repo, folder_path=large, revision="next").oid
    assert _weights(repo, "next", scratch) == (large / WEIGHTS).read_bytes()
    assert api.model_info(repo, revision="next").sha == three

    for word in ("prod", "next"):
        api.delete_branch(repo, branch=word)
    api.delete_repo(repo)
    assert not api.repo_exists(repo)
    print(f"huggingface_hub {__version__}: what a Hub does, the registry does")


def _weights(repo: str, revision: str, scratch: Path) -> bytes:
    return Path(hf_hub_download(repo, WEIGHTS, revision=revision, cache_dir=scratch / "cache")).read_bytes()


def _raises(kind: type[Exception], call) -> None:  # type: ignore[no-untyped-def]
    try:
        call()
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


if __name__ == "__main__":
    check(sys.argv[1], Path(sys.argv[2]))
