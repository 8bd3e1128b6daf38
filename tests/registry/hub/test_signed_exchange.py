"""Signatures lie beside the weights on a Hub, as the OpenSSF's tool expects them, and come back with them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants

from fakes.registry.hub_shelf import Write
from fakes.registry.tiny_adapters import WEIGHTS
from fakes.signing.signatures import bundle, sign
from parfocal.registry import FolderRegistry, Publication, Version, describe_base, locate_base
from parfocal.registry.errors import AdapterRefused
from parfocal.registry.hub import HubReference, Pushing, fetch_adapter, push_version
from parfocal.registry.signing import bundles_of

Signed = Callable[[int], Version]


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
def publish(here: FolderRegistry, tiny: Write) -> Signed:
    """Returns a function that publishes a version here, with all that can be said of it."""
    base = describe_base(locate_base("tiny", weights=False))

    def write(fill: int) -> Version:
        return here.publish("mine/invoices", tiny(fill), Publication(base, tags=("mail",)))

    return write


def pushed(here: FolderRegistry, version: Version, api: HfApi, repo: str = "team/copied") -> HubReference:
    bundles = bundles_of(here.signatures(version.name, version.version))
    source = here.materialise(version.digest)
    return push_version(version, source, repo, Pushing(signatures=bundles), api).reference


def names_in(api: HfApi, repo: str = "team/copied") -> set[str]:
    return set(api.list_repo_files(repo))


def test_what_is_pushed_to_a_registry_is_the_same_version_there_with_its_signatures(
    here: FolderRegistry, registry: FolderRegistry, api: HfApi, publish: Signed
) -> None:
    version = publish(1)
    bundles = [sign(here, version, name).bundle for name in ("ann", "ben")]

    pushed(here, version, api)

    there = registry.resolve("team/copied")
    assert there.digest == version.digest
    assert bundles_of(registry.signatures("team/copied", 1)) == tuple(bundles)
    assert {"model.sig", "model-2.sig"} <= names_in(api)
    assert Path(api.hf_hub_download("team/copied", "model.sig")).read_bytes() == bundles[0]


def test_what_is_fetched_brings_its_manifest_and_its_signatures(
    here: FolderRegistry, api: HfApi, publish: Signed
) -> None:
    version = publish(1)
    sign(here, version, "ann")

    fetched = fetch_adapter(pushed(here, version, api), api)

    assert fetched.packed is not None
    assert fetched.packed.manifest.digest == version.digest
    assert fetched.packed.signatures == (bundle(version, "ann"),)


def test_a_signature_that_is_added_later_is_seen_by_who_asks_again(
    registry: FolderRegistry, api: HfApi, here: FolderRegistry, publish: Signed
) -> None:
    reference = pushed(here, publish(1), api)
    assert fetch_adapter(reference, api).packed is not None
    there = registry.resolve("team/copied")
    sign(registry, there, "ann")

    fetched = fetch_adapter(reference, api)

    assert fetched.packed is not None
    assert fetched.packed.signatures == (bundle(there, "ann"),)


def test_files_alone_are_fetched_where_they_are_asked_for(
    here: FolderRegistry, api: HfApi, publish: Signed
) -> None:
    reference = pushed(here, publish(1), api)

    assert fetch_adapter(reference, api, files_only=True).packed is None


def test_a_manifest_of_other_files_is_refused_with_what_to_do(
    registry: FolderRegistry, here: FolderRegistry, api: HfApi, publish: Signed, own_cache: Path
) -> None:
    """As on the Hub itself, where anybody may commit new weights beside an old manifest."""
    reference = pushed(here, publish(1), api)
    folder = fetch_adapter(reference, api).folder
    manifest = (folder / "parfocal_manifest.json").resolve()
    other = publish(2).manifest_bytes
    manifest.chmod(0o600)
    manifest.write_bytes(other)
    served = Listing(api, other)

    with pytest.raises(AdapterRefused, match=r"not what it says: adapter_.*--files-only"):
        fetch_adapter(reference, served)  # type: ignore[arg-type]  # the two calls that it needs


class Listing:
    """A Hub that lists another manifest than the one that it gave before, and gives what is there."""

    def __init__(self, api: HfApi, manifest: bytes) -> None:
        self._api = api
        self._manifest = manifest

    def model_info(self, repo: str, **options: object) -> object:
        from parfocal.registry.faces.hub.entries import git_oid

        info = self._api.model_info(repo, **options)  # type: ignore[arg-type]
        for each in info.siblings or ():
            if each.rfilename == "parfocal_manifest.json":
                each.blob_id = git_oid(self._manifest)
        return info

    def snapshot_download(self, repo: str, revision: str, allow_patterns: list[str]) -> str:
        return self._api.snapshot_download(
            repo, revision=revision, allow_patterns=allow_patterns, local_files_only=True
        )


@pytest.fixture
def signed_there(here: FolderRegistry, api: HfApi, publish: Signed, tmp_path: Path) -> Path:
    """A folder into which a signed version was downloaded from a Hub."""
    version = publish(1)
    sign(here, version, "ann")
    pushed(here, version, api)
    return Path(api.snapshot_download("team/copied", local_dir=tmp_path / "local"))


def test_new_weights_in_a_folder_that_was_downloaded_are_a_version_of_their_own(
    api: HfApi,
    registry: FolderRegistry,
    signed_there: Path,
    tiny: Write,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (signed_there / WEIGHTS).write_bytes((tiny(2) / WEIGHTS).read_bytes())

    api.upload_folder(repo_id="team/copied", folder_path=signed_there)

    assert "parfocal_manifest.json and signatures were left out" in caplog.text

    newest = registry.resolve("team/copied")
    assert (newest.version, newest.manifest.tags) == (2, ())
    assert registry.signatures("team/copied", 2) == ()


def test_a_folder_that_was_downloaded_and_is_uploaded_again_is_the_same_version(
    registry: FolderRegistry, api: HfApi, signed_there: Path
) -> None:
    (signed_there / "added_tokens.json").write_text('{"<new>": 9}')
    api.create_repo("team/again")

    api.upload_folder(repo_id="team/again", folder_path=signed_there)

    before, again = registry.resolve("team/copied"), registry.resolve("team/again")
    assert again.digest == before.digest
    bundles = [bundles_of(registry.signatures(name, 1)) for name in ("team/copied", "team/again")]
    assert len(bundles[0]) == 1
    assert bundles[1] == bundles[0]


def test_signatures_of_the_version_before_do_not_stay_beside_the_next(
    here: FolderRegistry, api: HfApi, publish: Signed
) -> None:
    first = publish(1)
    sign(here, first, "ann")
    pushed(here, first, api)

    pushed(here, publish(2), api)

    assert "model.sig" not in names_in(api)
