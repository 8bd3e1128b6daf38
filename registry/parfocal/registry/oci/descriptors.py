"""The JSON of an image layout: its index, an image's manifest, and what they say of blobs. Reads no layer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from parfocal.registry.copies import check_received
from parfocal.registry.errors import AdapterRefused, InvalidDigest, MalformedFile
from parfocal.registry.oci.media_types import (
    BLOBS,
    IMAGE_MANIFEST,
    INDEX_FILE,
    LAYOUT_FILE,
    LAYOUT_VERSION,
    MODEL,
    MODEL_CONFIG,
    TAG,
    TITLE,
)
from parfocal.registry.peft import open_regular
from parfocal.registry.values import (
    JSON,
    FieldError,
    FileEntry,
    Hasher,
    JsonObject,
    UnreadableJson,
    hex_of,
    parse_digest,
    read_foreign_json,
)

# What registries take for a manifest.
_MAX_JSON_BYTES = 4 << 20
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob: what it is, its digest and size, and what is noted about it."""

    media_type: str
    digest: str
    size: int
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    def blob(self, layout: Path) -> Path:
        """The file that it must be in."""
        return layout / BLOBS / hex_of(self.digest)

    @property
    def tag(self) -> str:
        """What an index calls an image."""
        return self.annotations.get(TAG, "")

    @property
    def title(self) -> str:
        """What the whole is called."""
        return self.annotations.get(TITLE, "")


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """An image of a model: what describes it, and its layers."""

    descriptor: Descriptor
    config: Descriptor
    layers: tuple[Descriptor, ...]


def read_image(layout: Path, tag: str | None) -> ImageManifest:
    """The manifest of the image with this tag, or of the only one, every byte of it verified.

    Raises AdapterRefused where the folder is no layout, has no such image or one of something else,
    MalformedFile, BlobCorrupt, and OSError.
    """
    _check_layout(layout)
    chosen = _chosen(listed_images(layout), tag, layout)
    if chosen.media_type != IMAGE_MANIFEST:
        raise AdapterRefused(
            f"image {chosen.digest} of {layout} is {chosen.media_type[:80]!a}, not one image's manifest; "
            "give a layout that holds one model",
            field=INDEX_FILE,
        )
    fields = verified_fields(layout, chosen)
    try:
        image = ImageManifest(chosen, descriptor_of(fields.object("config")), layers_of(fields))
        kind = fields.text("artifactType") if fields.given("artifactType") else ""
    except FieldError as error:
        raise MalformedFile(f"image {chosen.digest}: {error}", field=error.field) from error
    if kind != MODEL and image.config.media_type != MODEL_CONFIG:
        raise AdapterRefused(
            f"image {chosen.digest} is {(kind or image.config.media_type)[:80]!a}, not a model after CNCF "
            f"ModelPack ({MODEL})",
            field="artifactType",
        )
    verified_json(layout, image.config)
    return image


def listed_images(layout: Path) -> tuple[Descriptor, ...]:
    """What a layout's index lists; raises MalformedFile, AdapterRefused and OSError."""
    try:
        index = JsonObject(_object(layout / INDEX_FILE, INDEX_FILE))
        return tuple(map(descriptor_of, index.objects("manifests")))
    except FieldError as error:
        raise MalformedFile(f"{INDEX_FILE}: {error}", field=error.field) from error


def descriptor_of(fields: JsonObject) -> Descriptor:
    """The descriptor that an object is; raises FieldError."""
    notes = fields.mapping("annotations") if fields.given("annotations") else {}
    try:
        digest = parse_digest(fields.text("digest"))
    except InvalidDigest as error:
        raise FieldError("digest", str(error)) from error
    return Descriptor(
        fields.text("mediaType"),
        digest,
        fields.count("size"),
        fields.text("artifactType") if fields.given("artifactType") else "",
        {name: value for name, value in notes.items() if isinstance(value, str)},
    )


def verified_fields(layout: Path, descriptor: Descriptor) -> JsonObject:
    """The object that a small blob holds as JSON; raises as `verified_json`."""
    return JsonObject(_mapping(verified_json(layout, descriptor), descriptor.digest))


def layers_of(fields: JsonObject) -> tuple[Descriptor, ...]:
    """The layers that an image's manifest names; raises FieldError."""
    return tuple(map(descriptor_of, fields.objects("layers")))


def verified_json(layout: Path, descriptor: Descriptor) -> bytes:
    """The bytes of a small blob; raises MalformedFile, BlobCorrupt, AdapterRefused where it is absent."""
    with open_regular(descriptor.blob(layout), _MAX_JSON_BYTES) as file:
        data = file.read()
    check_blob(descriptor, data)
    return data


def check_blob(descriptor: Descriptor, data: bytes) -> None:
    """Raises BlobCorrupt unless these are the bytes of a blob."""
    hasher = Hasher()
    hasher.update(data)
    check_received(FileEntry(f"blob {descriptor.digest}", descriptor.size, descriptor.digest), hasher)


def _check_layout(layout: Path) -> None:
    if not layout.is_dir():
        packed = "unpack it first with tar -xf" if layout.is_file() else "give the folder of an image layout"
        raise AdapterRefused(f"{layout} is no folder; {packed}", field="folder")
    if not (layout / LAYOUT_FILE).is_file():
        raise AdapterRefused(
            f"{layout} is no OCI image layout: it has no {LAYOUT_FILE}; parfocal export --oci writes one, "
            "and so do oras and skopeo",
            field="folder",
        )
    version = _object(layout / LAYOUT_FILE, LAYOUT_FILE).get("imageLayoutVersion")
    if version != LAYOUT_VERSION:
        raise AdapterRefused(
            f"{layout} is an image layout of version {str(version)[:40]!a}; {LAYOUT_VERSION} is read",
            field=LAYOUT_FILE,
        )


def _chosen(images: tuple[Descriptor, ...], tag: str | None, layout: Path) -> Descriptor:
    found = [image for image in images if tag is None or image.tag == tag]
    if len(found) > 1:  # signatures and the like stand beside what they are of
        found = [image for image in found if image.artifact_type in ("", MODEL)]
    if len(found) == 1:
        return found[0]
    tags = ", ".join(f"{image.tag[:80] or 'one without a tag'!s}" for image in images[:_SHOWN]) or "none"
    if tag is not None and not found:
        raise AdapterRefused(f"{layout} has no image with the tag {tag[:80]!a}; it has: {tags}", field="tag")
    raise AdapterRefused(
        f"{layout} holds {len(found)} images{'' if tag is None else f' with the tag {tag[:80]!a}'}: {tags}; "
        "name one with --tag",
        field="tag",
    )


def _object(path: Path, name: str) -> Mapping[str, JSON]:
    with open_regular(path, _MAX_JSON_BYTES) as file:
        return _mapping(file.read(), name)


def _mapping(data: bytes, name: str) -> Mapping[str, JSON]:
    try:
        value = read_foreign_json(data)
    except UnreadableJson as error:
        raise MalformedFile(f"{name} is not JSON: {error}", field=name) from error
    if not isinstance(value, Mapping):
        raise MalformedFile(f"{name} is not a JSON object", field=name)
    return value
