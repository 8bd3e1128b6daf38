"""Images that other tools made: taken where they hold an adapter, else refused by what they are."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fakes.registry.image_layouts import DOC, WEIGHT, WEIGHT_CONFIG, Layer, Layout, archive, write_layout
from parfocal.registry import FolderRegistry, Publication, Version
from parfocal.registry.errors import (
    AdapterRefused,
    BlobCorrupt,
    MalformedFile,
    RegistryError,
    UnsupportedAdapter,
)
from parfocal.registry.oci import read_layout

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
Files = Mapping[str, bytes]


@pytest.fixture
def files(adapter: Callable[..., Path]) -> Files:
    folder = adapter()
    return {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS)}


def raw(files: Files) -> list[Layer]:
    return [
        Layer(f"{WEIGHT if name == WEIGHTS else WEIGHT_CONFIG}.raw", data, name)
        for name, data in files.items()
    ]


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Returns a function that says why a layout is refused; nothing of it may be left over."""

    def refuse(layout: Path, kind: type[RegistryError] = AdapterRefused, tag: str | None = None) -> str:
        work = tmp_path / "refused"
        work.mkdir()
        with pytest.raises(kind) as refusal:
            read_layout(layout, work, tag)
        return str(refusal.value)

    return refuse


@pytest.mark.parametrize("form", ["raw", "tar", "tar+gzip"])
def test_an_adapter_is_taken_out_of_layers_of_any_form(
    registry: FolderRegistry, files: Files, publication: Publication, tmp_path: Path, form: str
) -> None:
    packed = {
        "raw": raw({f"adapter/{name}": data for name, data in files.items()}),
        "tar": [Layer(f"{WEIGHT}.tar", archive({f"x/{name}": files[name]})) for name in files],
        "tar+gzip": [Layer(f"{WEIGHT_CONFIG}.tar+gzip", archive(files, "w:gz"))],
    }
    layout = write_layout(tmp_path / "layout", Layout([*packed[form], Layer(f"{DOC}.raw", b"# hi", "x.md")]))
    (tmp_path / "work").mkdir()

    image = read_layout(layout, tmp_path / "work")

    assert image.packed is None
    assert {name: (image.folder / name).read_bytes() for name in files} == files
    assert registry.publish("team/x", image.folder, publication).version == 1


def test_a_path_that_leads_elsewhere_writes_nothing_elsewhere(files: Files, tmp_path: Path) -> None:
    escaping = archive({f"../../{CONFIG}": files[CONFIG], "/etc/owned": b"x", WEIGHTS: files[WEIGHTS]})
    layout = write_layout(tmp_path / "layout", Layout([Layer(f"{WEIGHT}.tar", escaping)]))
    (tmp_path / "a" / "b" / "work").mkdir(parents=True)

    image = read_layout(layout, tmp_path / "a" / "b" / "work")

    assert sorted(path.name for path in image.folder.iterdir()) == [CONFIG, WEIGHTS]
    assert [path.name for path in tmp_path.rglob(CONFIG) if "work" not in path.parts] == [CONFIG]


def test_a_layer_that_only_zstd_reads_is_refused_with_advice(
    files: Files, tmp_path: Path, refused: Callable[..., str]
) -> None:
    layout = write_layout(tmp_path / "layout", Layout([Layer(f"{WEIGHT}.tar+zstd", b"x")]))

    assert "raw layers" in refused(layout, UnsupportedAdapter)


def test_a_file_that_comes_twice_is_refused(
    files: Files, tmp_path: Path, refused: Callable[..., str]
) -> None:
    layout = write_layout(
        tmp_path / "layout", Layout([*raw(files), Layer(f"{WEIGHT}.tar", archive({CONFIG: files[CONFIG]}))])
    )

    assert f"{CONFIG} twice" in refused(layout, MalformedFile)


def test_a_whole_model_is_refused(files: Files, tmp_path: Path, refused: Callable[..., str]) -> None:
    model = [
        Layer(f"{WEIGHT}.raw", b"x", "model.safetensors"),
        Layer(f"{WEIGHT_CONFIG}.raw", b"{}", "config.json"),
    ]
    layout = write_layout(tmp_path / "layout", Layout(model))

    assert "whole models are not published" in refused(layout)


def test_an_image_of_something_else_is_refused_by_what_it_is(
    files: Files, tmp_path: Path, refused: Callable[..., str]
) -> None:
    config = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": "sha256:" + "0" * 64,
        "size": 2,
    }
    layout = write_layout(
        tmp_path / "layout", Layout(raw(files), image={"artifactType": "application/x", "config": config})
    )

    assert "'application/x', not a model" in refused(layout)


def test_a_blob_that_is_gone_is_refused(files: Files, tmp_path: Path, refused: Callable[..., str]) -> None:
    layout = write_layout(tmp_path / "layout", Layout(raw(files)))
    digest = hashlib.sha256(files[WEIGHTS]).hexdigest()
    (layout / "blobs" / "sha256" / digest).unlink()

    assert digest in refused(layout)


def test_a_blob_that_is_a_link_is_not_followed(
    files: Files, tmp_path: Path, refused: Callable[..., str]
) -> None:
    layout = write_layout(tmp_path / "layout", Layout(raw(files)))
    path = layout / "blobs" / "sha256" / hashlib.sha256(files[WEIGHTS]).hexdigest()
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    assert "symbolic link" in refused(layout)


def test_a_cut_archive_is_refused(files: Files, tmp_path: Path, refused: Callable[..., str]) -> None:
    cut = archive(files, "w:gz")[:-40]
    layout = write_layout(tmp_path / "layout", Layout([Layer(f"{WEIGHT}.tar+gzip", cut)]))

    assert "no whole archive" in refused(layout, MalformedFile)


def test_a_size_that_no_adapter_has_is_refused_before_it_is_read(
    files: Files, tmp_path: Path, refused: Callable[..., str]
) -> None:
    large = {CONFIG: b" " * (17 << 20), WEIGHTS: files[WEIGHTS]}
    layout = write_layout(tmp_path / "layout", Layout(raw(large)))

    assert f"{CONFIG} with" in refused(layout, MalformedFile)


def test_of_several_images_one_must_be_named(
    files: Files, tmp_path: Path, refused: Callable[..., str]
) -> None:
    layout = write_layout(tmp_path / "layout", Layout(raw(files), tag="v1"))
    index = json.loads((layout / "index.json").read_text())
    (image,) = index["manifests"]
    other = {**image, "annotations": {"org.opencontainers.image.ref.name": "v2"}}
    (layout / "index.json").write_text(json.dumps({**index, "manifests": [image, other]}))

    (tmp_path / "work").mkdir()
    assert read_layout(layout, tmp_path / "work", "v2").folder == tmp_path / "work"
    assert "2 images: v1, v2; name one with --tag" in refused(layout)


def test_a_tag_that_is_not_there_is_refused_with_those_that_are(
    files: Files, tmp_path: Path, refused: Callable[..., str]
) -> None:
    layout = write_layout(tmp_path / "layout", Layout(raw(files), tag="v1"))

    assert "no image with the tag 'v9'; it has: v1" in refused(layout, tag="v9")


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (("oci-layout", '{"imageLayoutVersion": "9"}'), "version '9'"),
        (("oci-layout", "[]"), "not a JSON object"),
        (("index.json", "{"), "is not JSON"),
        (("index.json", '{"manifests": 3}'), "not a list"),
        (("index.json", '{"manifests": []}'), "holds 0 images: none"),
        (("index.json", '{"manifests": [{"mediaType": "x", "digest": "md5:0", "size": 1}]}'), "digest"),
    ],
)
def test_a_layout_that_breaks_its_own_rules_is_refused_by_name(
    files: Files, tmp_path: Path, refused: Callable[..., str], broken: tuple[str, str], says: str
) -> None:
    name, text = broken
    layout = write_layout(tmp_path / "layout", Layout(raw(files)))
    (layout / name).write_text(text)

    assert says in refused(layout)


def test_what_is_no_layout_is_refused_with_advice(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "empty").mkdir()

    assert "parfocal export --oci writes one" in refused(tmp_path / "empty")


def test_a_packed_layout_is_to_be_unpacked(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "image.tar").write_bytes(archive({"oci-layout": b"{}"}))

    assert "tar -xf" in refused(tmp_path / "image.tar")


@pytest.fixture
def other(registry: FolderRegistry, adapter: Callable[..., Path], publication: Publication) -> Version:
    """A version with other weights."""
    return registry.publish("team/other", adapter(fill=5), publication)


def test_a_manifest_of_other_files_is_refused(
    other: Version, files: Files, tmp_path: Path, refused: Callable[..., str]
) -> None:
    lying = Layer(f"{DOC}.raw", other.manifest_bytes, "parfocal_manifest.json")
    layout = write_layout(tmp_path / "layout", Layout([*raw(files), lying]))

    assert "should be" in refused(layout, BlobCorrupt)
