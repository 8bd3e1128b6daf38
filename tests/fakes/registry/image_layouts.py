"""OCI image layouts as other tools write them, every field chosen."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_MODEL = "application/vnd.cncf.model"
WEIGHT, WEIGHT_CONFIG, DOC = f"{_MODEL}.weight.v1", f"{_MODEL}.weight.config.v1", f"{_MODEL}.doc.v1"


@dataclass(frozen=True)
class Layer:
    """A layer: its media type, its bytes, and the path that it says its file has."""

    media_type: str
    data: bytes
    path: str = ""


@dataclass(frozen=True)
class Layout:
    """A layout of one image; `index` and `image` go over the fields of its index and of its manifest."""

    layers: Sequence[Layer]
    tag: str = "1"
    index: Mapping[str, object] = field(default_factory=dict)
    image: Mapping[str, object] = field(default_factory=dict)


def write_layout(folder: Path, layout: Layout) -> Path:
    """Writes the layout and returns its folder."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layers = []
    for layer in layout.layers:
        notes = {"org.cncf.model.filepath": layer.path} if layer.path else {}
        layers.append({**_put(blobs, layer.data, layer.media_type), "annotations": notes})
    image = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": f"{_MODEL}.manifest.v1+json",
        "config": _put(blobs, b'{"modelfs":{}}', f"{_MODEL}.config.v1+json"),
        "layers": layers,
        **layout.image,
    }
    named = _put(blobs, json.dumps(image).encode(), "application/vnd.oci.image.manifest.v1+json")
    named["annotations"] = {"org.opencontainers.image.ref.name": layout.tag}
    index = {"schemaVersion": 2, "manifests": [named], **layout.index}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def archive(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    """The bytes of a tar archive; `w:gz` is compressed."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as tar:  # type: ignore[call-overload]  # a mode of the test's
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return target.getvalue()


def _put(blobs: Path, data: bytes, media_type: str) -> dict[str, object]:
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}
