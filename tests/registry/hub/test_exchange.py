"""Adapters off a Hub and versions onto it, with our own face as the Hub."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from huggingface_hub import HfApi, ModelCard, constants

from fakes.registry.hub_server import Hub
from fakes.registry.hub_shelf import Write
from fakes.registry.tiny_adapters import CONFIG, WEIGHTS
from parfocal.registry import FolderRegistry, Publication, Version, describe_base, locate_base
from parfocal.registry.errors import AdapterRefused, BlobCorrupt, HubRefused
from parfocal.registry.hub import HubReference, fetch_adapter, push_version


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What the client keeps of each test's Hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    return tmp_path / "hub-cache"


@pytest.fixture
def here(tmp_path: Path) -> FolderRegistry:
    """A registry that is not the one behind the Hub."""
    return FolderRegistry(tmp_path / "here")


@pytest.fixture
def version(here: FolderRegistry, tiny: Write) -> Version:
    return here.publish(
        "mine/invoices", tiny(), Publication(describe_base(locate_base("tiny", weights=False)))
    )


def files_of(folder: Path) -> Mapping[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS)}


def test_an_adapter_comes_at_the_commit_that_its_revision_is(
    registry: FolderRegistry, served: Hub, api: HfApi, invoices: tuple[Path, Path]
) -> None:
    first = registry.resolve("team/invoices@1")

    adapter = fetch_adapter(HubReference("team/invoices", "prod"), api)

    assert adapter.reference == HubReference("team/invoices", first.digest[7:47])
    assert files_of(adapter.folder) == files_of(registry.materialise(first.digest))


def test_without_a_revision_it_is_the_newest(
    registry: FolderRegistry, api: HfApi, invoices: tuple[Path, Path]
) -> None:
    adapter = fetch_adapter(HubReference("team/invoices"), api)

    assert adapter.reference.revision == registry.resolve("team/invoices@2").digest[7:47]


def test_bytes_that_are_not_what_the_hub_lists_are_refused(
    api: HfApi, invoices: tuple[Path, Path], own_cache: Path
) -> None:
    adapter = fetch_adapter(HubReference("team/invoices"), api)
    weights = (adapter.folder / WEIGHTS).resolve()
    weights.chmod(0o600)
    weights.write_bytes(bytes(weights.stat().st_size))

    with pytest.raises(BlobCorrupt, match=f"{WEIGHTS} of hf://team/invoices@.* instead of .*cache"):
        fetch_adapter(HubReference("team/invoices"), api)


def test_a_repository_that_is_not_there_is_refused_with_advice(api: HfApi) -> None:
    with pytest.raises(HubRefused, match=r"hf://team/nobody cannot be fetched .*HF_ENDPOINT"):
        fetch_adapter(HubReference("team/nobody"), api)


def test_a_repository_without_an_adapter_is_refused_by_name(api: HfApi, repo: str) -> None:
    with pytest.raises((AdapterRefused, HubRefused)):
        fetch_adapter(HubReference(repo), api)


def test_a_version_is_pushed_with_its_card_as_one_commit(
    here: FolderRegistry, registry: FolderRegistry, api: HfApi, version: Version
) -> None:
    source = here.materialise(version.digest)

    pushed = push_version(version, source, "team/copied", api=api)

    there = registry.resolve("team/copied")
    assert pushed.reference == HubReference("team/copied", there.digest[7:47])
    assert (pushed.is_new_repository, pushed.rewritten) == (True, ())
    assert files_of(registry.materialise(there.digest)) == files_of(source)
    card = ModelCard(Path(api.hf_hub_download("team/copied", "README.md")).read_text())
    assert [card.data.get(name) for name in ("base_model", "library_name")] == ["tiny", "peft"]


def test_what_is_pushed_can_be_fetched_again(here: FolderRegistry, api: HfApi, version: Version) -> None:
    source = here.materialise(version.digest)
    pushed = push_version(version, source, "team/copied", api=api)

    assert files_of(fetch_adapter(pushed.reference, api).folder) == files_of(source)


def test_what_is_attached_goes_along_and_comes_back(
    here: FolderRegistry, registry: FolderRegistry, api: HfApi, tiny: Write, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_text("<p>good</p>")
    (tmp_path / "notes.md").write_text("by hand")
    attached = (tmp_path / "report.html", tmp_path / "notes.md")
    base = describe_base(locate_base("tiny", weights=False))
    version = here.publish("mine/invoices", tiny(), Publication(base, attachments=attached))

    pushed = push_version(version, here.materialise(version.digest), "team/copied", api=api)
    fetched = fetch_adapter(pushed.reference, api)

    assert registry.resolve("team/copied").digest == version.digest
    assert fetched.packed is not None and fetched.packed.manifest == version.manifest
    assert (fetched.folder / "report.html").read_text() == "<p>good</p>"
    assert {"report.html", "notes.md"} <= set(api.list_repo_files("team/copied"))


def test_of_a_plain_upload_only_what_training_records_is_attached(
    registry: FolderRegistry, api: HfApi, tiny: Write
) -> None:
    folder = tiny()
    for name in ("evaluation.json", "trainer_state.json", "tokenizer_config.json"):
        (folder / name).write_text("{}")
    api.create_repo("team/plain")
    api.upload_folder(repo_id="team/plain", folder_path=folder)

    files = {file.path for file in registry.resolve("team/plain").manifest.files}
    assert files == {CONFIG, WEIGHTS, "evaluation.json"}


def test_a_second_version_goes_on_top_of_the_first(
    here: FolderRegistry, registry: FolderRegistry, api: HfApi, version: Version, tiny: Write
) -> None:
    push_version(version, here.materialise(version.digest), "team/copied", api=api)
    base = describe_base(locate_base("tiny", weights=False))
    second = here.publish("mine/invoices", tiny(2), Publication(base))

    pushed = push_version(second, here.materialise(second.digest), "team/copied", api=api)

    assert not pushed.is_new_repository
    assert [each.version for each in registry.versions("team/copied").items] == [2, 1]


def test_files_that_rotted_are_not_pushed(
    registry: FolderRegistry, api: HfApi, version: Version, tmp_path: Path
) -> None:
    for entry in version.manifest.files:
        (tmp_path / entry.path).write_bytes(bytes(entry.size))

    with pytest.raises(BlobCorrupt):
        push_version(version, tmp_path, "team/copied", api=api)
    assert registry.adapters().items == ()


def test_a_name_that_the_hub_does_not_take_is_refused(
    here: FolderRegistry, api: HfApi, version: Version
) -> None:
    with pytest.raises(HubRefused, match="cannot be pushed"):
        push_version(version, here.materialise(version.digest), "Not/A..Name", api=api)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("org/name", HubReference("org/name")),
        ("hf://org/name", HubReference("org/name")),
        ("Org/na.me_1-b@v2.0", HubReference("Org/na.me_1-b", "v2.0")),
        ("org/name@refs/pr/3", HubReference("org/name", "refs/pr/3")),
        ("name", None),
        ("./org/name", None),
        ("/org/name", None),
        ("org/../name", None),
        ("org/name/more", None),
        ("org/name@", None),
        ("hf://", None),
    ],
)
def test_a_reference_is_read_as_people_write_it(text: str, meant: HubReference | None) -> None:
    assert HubReference.parse(text) == meant
