"""Records and reports travel with a version, whole and by its digest, in every registry and out of it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry import FolderRegistry, Publication, Registry
from parfocal.registry.errors import AdapterRefused, InvalidPublication, MalformedFile
from parfocal.registry.oci import read_layout, write_layout
from parfocal.registry.packing import MANIFEST_FILE
from parfocal.registry.values import RECORDS, Manifest, is_attachment
from parfocal.v1.limits import ATTACHMENT_BYTES

Write = Callable[..., Path]
Case = tuple[str, bytes, type[Exception], str]
# One of them is sent as a blob of its own, the others with the order to publish.
CONTENTS = {"data_report.json": b"{}", "evaluation.json": b'{"rows": 3}', "report.html": b"<p>" * 40_000}


@pytest.fixture
def attached(publication: Publication, tmp_path: Path) -> Publication:
    """A publication with three files that lie elsewhere than the adapter."""
    folder = tmp_path / "records"
    folder.mkdir()
    for name, data in CONTENTS.items():
        (folder / name).write_bytes(data)
    return replace(publication, attachments=tuple(folder / name for name in reversed(CONTENTS)))


def held_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name in CONTENTS}


def test_attached_files_come_back_with_the_version(
    any_registry: Registry, adapter: Write, attached: Publication
) -> None:
    version = any_registry.publish("x", adapter(), attached)
    paths = [file.path for file in version.manifest.files]

    assert paths == sorted(paths)
    assert set(CONTENTS) < set(paths)
    assert held_in(any_registry.materialise(version.digest)) == CONTENTS
    assert any_registry.resolve("x").manifest == version.manifest
    assert version.manifest.size == sum(file.size for file in version.manifest.files)


def test_a_version_with_other_reports_is_another_version(
    any_registry: Registry, adapter: Write, attached: Publication, publication: Publication
) -> None:
    bare = any_registry.publish("x", adapter(), publication)
    with_all = any_registry.publish("x", adapter(), attached)

    assert with_all.version == 2
    assert any_registry.publish("x", adapter(), attached) == with_all
    assert any_registry.publish("x", adapter(), publication) == bare


def test_the_digest_does_not_depend_on_which_registry_it_is(
    any_registry: Registry, adapter: Write, attached: Publication, tmp_path: Path
) -> None:
    here = FolderRegistry(tmp_path / "here").publish("x", adapter(), attached)

    assert any_registry.publish("x", adapter(), attached).digest == here.digest


def test_a_version_without_attachments_has_the_manifest_that_it_had_before(
    registry: FolderRegistry, adapter: Write, publication: Publication
) -> None:
    """Its files stand as they always stood, and what was written then is read as the same."""
    folder = adapter()
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    version = registry.publish("x", folder, publication)
    files = [file.path for file in version.manifest.files]

    assert files == ["adapter_config.json", "adapter_model.safetensors", "chat_template.jinja"]
    assert b"attach" not in version.manifest_bytes
    assert Manifest.from_bytes(version.manifest_bytes).digest == version.digest


def test_an_image_holds_them_and_gives_the_same_version_again(
    registry: FolderRegistry, adapter: Write, attached: Publication, tmp_path: Path
) -> None:
    version = registry.publish("x", adapter(), attached)
    (tmp_path / "layout").mkdir()
    (tmp_path / "work").mkdir()
    write_layout(version, registry.materialise(version.digest), tmp_path / "layout")
    image = read_layout(tmp_path / "layout", tmp_path / "work")

    assert image.packed is not None
    again = Publication.again(image.packed.manifest)
    other = FolderRegistry(tmp_path / "other").publish("y", image.folder, again)
    assert other.digest == version.digest
    assert held_in(FolderRegistry(tmp_path / "other").materialise(other.digest)) == CONTENTS


@pytest.mark.parametrize(
    "case",
    [
        ("tokenizer_config.json", b"{}", InvalidPublication, "cannot be attached.*a loader looks for"),
        ("adapter_model.json", b"{}", InvalidPublication, "cannot be attached"),
        ("weights.bin", b"x", InvalidPublication, "cannot be attached"),
        ("Report.html", b"x", InvalidPublication, "cannot be attached: names are of lower case"),
        ("notes.md", b"", InvalidPublication, "notes.md is empty; leave it out"),
        ("notes.md", b"x" * (ATTACHMENT_BYTES.most + 1), MalformedFile, "at most 4194304 are accepted"),
    ],
)
def test_what_cannot_be_attached_is_refused_by_name(
    any_registry: Registry, adapter: Write, publication: Publication, tmp_path: Path, case: Case
) -> None:
    name, data, refusal, message = case
    (tmp_path / name).write_bytes(data)
    with pytest.raises(refusal, match=message):
        any_registry.publish("x", adapter(), replace(publication, attachments=(tmp_path / name,)))


def test_what_is_not_there_is_refused_and_too_many_are(
    any_registry: Registry, adapter: Write, publication: Publication, tmp_path: Path
) -> None:
    many = tuple(tmp_path / f"note-{number}.md" for number in range(9))
    for path in many:
        path.write_text("x")
    with pytest.raises(InvalidPublication, match="at most 8, each name once"):
        any_registry.publish("x", adapter(), replace(publication, attachments=many))
    with pytest.raises(AdapterRefused, match="has no gone"):
        any_registry.publish("x", adapter(), replace(publication, attachments=(tmp_path / "gone.md",)))


def test_a_link_is_not_followed(
    any_registry: Registry, adapter: Write, publication: Publication, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "notes.md").symlink_to(tmp_path / "secret")
    with pytest.raises(AdapterRefused, match="symbolic link"):
        any_registry.publish("x", adapter(), replace(publication, attachments=(tmp_path / "notes.md",)))


def test_a_folder_that_was_pulled_is_the_same_version_elsewhere(
    any_registry: Registry, adapter: Write, attached: Publication, tmp_path: Path
) -> None:
    version = any_registry.publish("x", adapter(), attached)
    folder = Path(shutil.copytree(any_registry.materialise(version.digest), tmp_path / "pulled"))
    again = FolderRegistry(tmp_path / "again").publish("y", folder, Publication.again(version.manifest))

    assert again.digest == version.digest


@given(st.from_regex(r"[a-zA-Z0-9._-]{1,40}", fullmatch=True))
def test_nothing_that_a_loader_reads_is_ever_an_attachment(name: str) -> None:
    loaded = (
        "config.json", "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", "vocab.json",
        "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "chat_template.json", "README.md",
        "model.safetensors.index.json", "generation_config.json", "special_tokens_map.json", MANIFEST_FILE,
        "added_tokens.json", "merges.txt", "processor_config.json", "preprocessor_config.json", "model.sig",
    )  # fmt: skip
    assert not any(map(is_attachment, loaded))
    assert all(map(is_attachment, RECORDS))
    if is_attachment(name):
        assert name == name.lower() and not name.startswith(("adapter_", "tokenizer", "."))
