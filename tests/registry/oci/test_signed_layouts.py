"""Signatures go out with an image and come back with it; what is not of the version does not come in."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.signing.signatures import bundle, sign
from parfocal.registry import FolderRegistry, Publication, Registry, Version
from parfocal.registry.errors import BlobCorrupt, InvalidSignature
from parfocal.registry.oci import read_layout, write_layout
from parfocal.registry.oci.media_types import NO_CONFIG, SIGNATURE
from parfocal.registry.remote import RemoteRegistry
from parfocal.registry.signing import bundles_of
from parfocal.registry.values import digest_of

Write = Callable[..., Path]


def exported(registry: Registry, version: Version, target: Path) -> str:
    target.mkdir()
    bundles = bundles_of(registry.signatures(version.name, version.version))
    return write_layout(version, registry.materialise(version.digest), target, signatures=bundles)


def imported(registry: Registry, layout: Path, work: Path) -> Version:
    work.mkdir()
    image = read_layout(layout, work)
    assert image.packed is not None
    assert image.packed.cautions == ()
    again = replace(Publication.again(image.packed.manifest), signatures=image.packed.signatures)
    return registry.publish("other/name", image.folder, again)


def signatures_of(registry: Registry, version: Version) -> tuple[bytes, ...]:
    return bundles_of(registry.signatures(version.name, version.version))


@pytest.fixture
def version(registry: FolderRegistry, adapter: Write, publication: Publication) -> Version:
    return registry.publish("team/invoices", adapter(), publication)


def document(layout: Path, descriptor: Mapping[str, Any]) -> Any:
    return json.loads((layout / "blobs" / "sha256" / str(descriptor["digest"])[7:]).read_text())


def index_of(layout: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((layout / "index.json").read_text())["manifests"]
    return found


def with_bundle(layout: Path, data: bytes) -> None:
    """Puts other bytes in place of the only signature, every digest made to fit, as an attacker would."""
    blobs = layout / "blobs" / "sha256"
    index = json.loads((layout / "index.json").read_text())
    _, listed = index["manifests"]
    image = document(layout, listed)
    (blobs / digest_of(data)[7:]).write_bytes(data)
    image["layers"][0] |= {"digest": digest_of(data), "size": len(data)}
    written = json.dumps(image).encode()
    (blobs / digest_of(written)[7:]).write_bytes(written)
    listed |= {"digest": digest_of(written), "size": len(written)}
    (layout / "index.json").write_text(json.dumps(index))


def test_a_signed_version_comes_back_signed(
    registry: FolderRegistry, version: Version, remote: RemoteRegistry, tmp_path: Path
) -> None:
    sign(registry, version, "ann")
    sign(registry, version, "ben")
    exported(registry, version, tmp_path / "layout")

    for place, elsewhere in (("here", FolderRegistry(tmp_path / "elsewhere")), ("remote", remote)):
        again = imported(elsewhere, tmp_path / "layout", tmp_path / place)

        assert again.digest == version.digest
        assert signatures_of(elsewhere, again) == signatures_of(registry, version)


def test_signatures_that_are_new_are_added_to_a_version_that_is_there(
    registry: FolderRegistry, version: Version, tmp_path: Path
) -> None:
    elsewhere = FolderRegistry(tmp_path / "elsewhere")
    exported(registry, version, tmp_path / "unsigned")
    imported(elsewhere, tmp_path / "unsigned", tmp_path / "first")
    sign(registry, version, "ann")
    exported(registry, version, tmp_path / "layout")

    again = imported(elsewhere, tmp_path / "layout", tmp_path / "second")

    assert again.version == 1
    assert signatures_of(elsewhere, again) == (bundle(version, "ann"),)


def test_a_signature_is_an_artifact_that_refers_to_the_image_as_sigstore_has_it(
    registry: FolderRegistry, version: Version, tmp_path: Path
) -> None:
    unsigned = exported(registry, version, tmp_path / "unsigned")
    sign(registry, version, "ann")
    image = exported(registry, version, tmp_path / "layout")

    named, listed = index_of(tmp_path / "layout")
    referrer = document(tmp_path / "layout", listed)

    assert image == unsigned == named["digest"]
    assert referrer["subject"] == {key: named[key] for key in ("mediaType", "digest", "size")}
    assert listed["artifactType"] == referrer["artifactType"] == SIGNATURE
    assert referrer["config"]["mediaType"] == NO_CONFIG
    assert document(tmp_path / "layout", referrer["config"]) == {}
    (layer,) = referrer["layers"]
    assert layer["mediaType"] == document(tmp_path / "layout", layer)["mediaType"] == SIGNATURE


def test_a_signature_of_another_version_is_refused(
    registry: FolderRegistry, version: Version, adapter: Write, publication: Publication, tmp_path: Path
) -> None:
    other = registry.publish("team/invoices", adapter(fill=7), publication)
    sign(registry, version, "ann")
    exported(registry, version, tmp_path / "layout")
    with_bundle(tmp_path / "layout", bundle(other, "ann"))
    (tmp_path / "work").mkdir()

    with pytest.raises(InvalidSignature, match=f"it is of the manifest {other.digest}"):
        read_layout(tmp_path / "layout", tmp_path / "work")


def test_what_another_tool_has_signed_is_left_out_and_told(
    registry: FolderRegistry, version: Version, tmp_path: Path
) -> None:
    sign(registry, version, "ann")
    exported(registry, version, tmp_path / "layout")
    theirs = json.loads(bundle(version, "ann"))
    theirs["verificationMaterial"] = {"certificate": {"rawBytes": "AAAA"}}
    with_bundle(tmp_path / "layout", json.dumps(theirs).encode())
    (tmp_path / "work").mkdir()

    image = read_layout(tmp_path / "layout", tmp_path / "work")

    assert image.packed is not None
    assert image.packed.signatures == ()
    (caution,) = image.packed.cautions
    assert "signatures with certificates are not read" in caution


def test_a_turned_bit_in_a_signature_is_found(
    registry: FolderRegistry, version: Version, tmp_path: Path
) -> None:
    sign(registry, version, "ann")
    exported(registry, version, tmp_path / "layout")
    path = tmp_path / "layout" / "blobs" / "sha256" / digest_of(bundle(version, "ann"))[7:]
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    (tmp_path / "work").mkdir()

    with pytest.raises(BlobCorrupt):
        read_layout(tmp_path / "layout", tmp_path / "work")


def test_files_alone_come_without_a_look_at_what_lies_beside_them(
    registry: FolderRegistry, version: Version, tmp_path: Path
) -> None:
    sign(registry, version, "ann")
    exported(registry, version, tmp_path / "layout")
    with_bundle(tmp_path / "layout", b"nonsense")
    (tmp_path / "work").mkdir()

    image = read_layout(tmp_path / "layout", tmp_path / "work", files_only=True)

    assert image.packed is None
    assert {path.name for path in image.folder.iterdir()} == {each.path for each in version.manifest.files}
