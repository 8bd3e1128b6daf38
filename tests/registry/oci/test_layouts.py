"""A version out to an image layout and back: the same version, by the specifications, every byte verified."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fakes.registry.peft_folders import Tensor
from parfocal.registry import (
    BaseContract,
    Evaluation,
    FolderRegistry,
    Provenance,
    Publication,
    Registry,
    Rendering,
    Version,
)
from parfocal.registry.errors import BlobCorrupt, DataLoss
from parfocal.registry.oci import Image, read_layout, write_layout
from parfocal.registry.oci.media_types import FILES
from parfocal.registry.packing import MANIFEST_FILE
from parfocal.registry.remote import RemoteRegistry

SCHEMA = json.loads((Path(__file__).parent / "modelpack-config.schema.json").read_text())
Write = Callable[..., Path]


def exported(registry: Registry, version: Version, target: Path) -> str:
    target.mkdir()
    return write_layout(version, registry.materialise(version.digest), target)


def taken(layout: Path, work: Path, tag: str | None = None) -> Image:
    work.mkdir()
    return read_layout(layout, work, tag)


def imported(registry: Registry, layout: Path, work: Path, name: str = "other/name") -> Version:
    image = taken(layout, work)
    assert image.packed is not None
    again = replace(Publication.again(image.packed.manifest), signatures=image.packed.signatures)
    return registry.publish(name, image.folder, again)


def described(path: Path) -> Any:
    return json.loads(path.read_text())


def blob(layout: Path, descriptor: Any) -> Path:
    return layout / "blobs" / "sha256" / str(descriptor["digest"]).removeprefix("sha256:")


@pytest.fixture
def version(registry: FolderRegistry, adapter: Write, publication: Publication) -> Version:
    return registry.publish("team/invoices", adapter(), publication)


@pytest.fixture
def layout(registry: FolderRegistry, version: Version, tmp_path: Path) -> Path:
    exported(registry, version, tmp_path / "layout")
    return tmp_path / "layout"


@pytest.fixture
def elsewhere(tmp_path: Path) -> FolderRegistry:
    return FolderRegistry(tmp_path / "elsewhere")


@pytest.fixture
def both(registry: FolderRegistry, elsewhere: FolderRegistry) -> tuple[FolderRegistry, FolderRegistry]:
    """Two registries that know nothing of each other."""
    return registry, elsewhere


def everything_said(base: BaseContract) -> Publication:
    return Publication(
        base,
        Provenance(
            "sha256:" + "1" * 64, {"lr": 1e-4}, 7, {"trl": "1.16"}, "team/x@2", "hf://a/b@" + "0" * 40
        ),
        Evaluation("sha256:" + "2" * 64, 12, {"loss": 0.25}),
        rendering=Rendering("chat", "sha256:" + "3" * 64, {"thinking": False}),
        tags=("mail", "language:de"),
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"config": {"use_rslora": True, "alpha_pattern": {"layers.1.*q_proj": 3}}},
        {
            "tensors": {
                f"base_model.model.model.layers.1.self_attn.v_proj.lora_{s}.weight": None for s in "AB"
            }
        },
        {"fill": 0},
    ],
    ids=["plain", "patterns", "a missing module", "idle"],
)
def test_a_version_that_comes_back_is_the_same_version(
    both: tuple[FolderRegistry, FolderRegistry],
    adapter: Write,
    base: BaseContract,
    tmp_path: Path,
    fields: dict[str, object],
) -> None:
    registry, elsewhere = both
    version = registry.publish("team/invoices", adapter(**fields), everything_said(base))
    exported(registry, version, tmp_path / "layout")

    again = imported(elsewhere, tmp_path / "layout", tmp_path / "work")

    assert again.digest == version.digest
    assert again.manifest_bytes == version.manifest_bytes


def test_a_version_of_an_unseen_base_comes_back_as_the_same(
    registry: FolderRegistry, elsewhere: FolderRegistry, adapter: Write, tmp_path: Path
) -> None:
    version = registry.publish("team/x", adapter(), Publication(unverified_base=True))
    exported(registry, version, tmp_path / "layout")

    assert imported(elsewhere, tmp_path / "layout", tmp_path / "work").digest == version.digest


def test_what_was_noticed_of_the_folder_stays_with_the_version(
    registry: FolderRegistry, elsewhere: FolderRegistry, adapter: Write, base: BaseContract, tmp_path: Path
) -> None:
    folder = adapter()
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "added_tokens.json").write_text('{"<new>": 9}')
    version = registry.publish("team/x", folder, Publication(base))
    exported(registry, version, tmp_path / "layout")

    again = imported(elsewhere, tmp_path / "layout", tmp_path / "work")

    assert len(version.manifest.warnings) > 1
    assert again.digest == version.digest


def test_a_version_comes_back_through_a_server(
    registry: FolderRegistry, remote: RemoteRegistry, adapter: Write, base: BaseContract, tmp_path: Path
) -> None:
    folder = adapter()
    (folder / "added_tokens.json").write_text('{"<new>": 9}')
    version = remote.publish("team/x", folder, everything_said(base))
    exported(remote, version, tmp_path / "layout")

    assert imported(remote, tmp_path / "layout", tmp_path / "work").digest == version.digest


def test_what_a_registry_notices_itself_is_added_to_what_came(
    elsewhere: FolderRegistry, adapter: Write, base: BaseContract
) -> None:
    version = elsewhere.publish("team/x", adapter(fill=0), Publication(base, noticed=("seen before",)))

    first, second, *_ = version.manifest.warnings
    assert first == "seen before"
    assert "is all zero" in second


def test_the_same_content_is_the_same_image_whatever_it_is_called(
    both: tuple[FolderRegistry, FolderRegistry],
    version: Version,
    adapter: Write,
    publication: Publication,
    tmp_path: Path,
) -> None:
    registry, elsewhere = both
    elsewhere.publish("first", adapter(fill=9), publication)
    other = elsewhere.publish("first", adapter(), publication)

    images = [exported(registry, version, tmp_path / "a"), exported(elsewhere, other, tmp_path / "b")]

    assert images[0] == images[1]
    assert (version.version, other.version) == (1, 2)


def test_a_layout_says_what_the_version_was_called(layout: Path, version: Version, tmp_path: Path) -> None:
    (image,) = described(layout / "index.json")["manifests"]

    assert image["annotations"]["org.opencontainers.image.ref.name"] == str(version.version)
    assert taken(layout, tmp_path / "work").name == "team/invoices"


def test_every_blob_is_what_its_descriptor_says(layout: Path) -> None:
    (named,) = described(layout / "index.json")["manifests"]
    image = described(blob(layout, named))
    descriptors = [named, image["config"], *image["layers"]]

    for descriptor in descriptors:
        data = blob(layout, descriptor).read_bytes()
        assert len(data) == descriptor["size"]
        assert hashlib.sha256(data).hexdigest() == descriptor["digest"].removeprefix("sha256:")
    assert len(list((layout / "blobs" / "sha256").iterdir())) == len(descriptors)
    assert described(layout / "oci-layout") == {"imageLayoutVersion": "1.0.0"}


def test_an_image_is_a_model_after_modelpack(layout: Path, version: Version) -> None:
    (named,) = described(layout / "index.json")["manifests"]
    image = described(blob(layout, named))
    config = described(blob(layout, image["config"]))

    jsonschema.validate(config, SCHEMA)
    assert image["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert image["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    assert config["modelfs"]["diffIds"] == [layer["digest"] for layer in image["layers"]]
    assert config["config"]["precision"] == "float32"
    assert config["config"]["paramSize"] == "0.4K"
    assert config["descriptor"]["revision"] == version.digest


def test_each_file_of_an_adapter_is_a_raw_layer_under_its_name(layout: Path) -> None:
    (named,) = described(layout / "index.json")["manifests"]
    layers = described(blob(layout, named))["layers"]

    kinds = {layer["annotations"]["org.cncf.model.filepath"]: layer["mediaType"] for layer in layers}
    assert kinds == {name: FILES[name] for name in kinds}
    assert {"adapter_config.json", "adapter_model.safetensors", MANIFEST_FILE, "README.md"} == set(kinds)


def damaged(layout: Path) -> Iterator[Path]:
    """Yields every file of blobs in turn, with one bit turned."""
    for path in sorted((layout / "blobs" / "sha256").iterdir()):
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        yield path
        path.write_bytes(good)


def test_a_turned_bit_anywhere_in_what_is_read_is_found(layout: Path, tmp_path: Path) -> None:
    (named,) = described(layout / "index.json")["manifests"]
    card = next(
        layer["digest"]
        for layer in described(blob(layout, named))["layers"]
        if layer["annotations"]["org.cncf.model.filepath"] == "README.md"
    )
    found = 0
    for number, path in enumerate(damaged(layout)):
        if path.name in card:  # nobody reads it
            continue
        with pytest.raises(BlobCorrupt):
            taken(layout, tmp_path / f"work-{number}")
        found += 1

    assert found == 5


def test_a_file_that_rots_while_it_is_exported_never_gets_into_an_image(
    registry: FolderRegistry, version: Version, tmp_path: Path
) -> None:
    source = tmp_path / "rotten"
    source.mkdir()
    for entry in version.manifest.files:
        data = (registry.materialise(version.digest) / entry.path).read_bytes()
        (source / entry.path).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    with pytest.raises(DataLoss):
        write_layout(version, source, tmp_path / "layout")


def test_progress_ends_at_its_total(registry: FolderRegistry, version: Version, tmp_path: Path) -> None:
    told = list[tuple[int, int]]()
    (tmp_path / "layout").mkdir()

    write_layout(
        version, registry.materialise(version.digest), tmp_path / "layout", lambda *now: told.append(now)
    )
    (tmp_path / "work").mkdir()
    read_layout(tmp_path / "layout", tmp_path / "work", progress=lambda *now: told.append(now))

    assert [done for done, total in told if done > total] == []
    assert told[-1][0] > version.manifest.size


def test_tensors_of_other_types_are_named(
    registry: FolderRegistry, adapter: Write, publication: Publication, tmp_path: Path
) -> None:
    prefix = "base_model.model.model.layers.0.self_attn.q_proj"
    halves = {
        f"{prefix}.lora_A.weight": Tensor((4, 16), "BF16", fill=1),
        f"{prefix}.lora_B.weight": Tensor((16, 4), "F16", fill=1),
    }
    version = registry.publish("team/x", adapter(tensors=halves), publication)
    exported(registry, version, tmp_path / "layout")

    (named,) = described(tmp_path / "layout" / "index.json")["manifests"]
    config = described(blob(tmp_path / "layout", described(blob(tmp_path / "layout", named))["config"]))
    assert config["config"]["precision"] == "bfloat16,float16,float32"
