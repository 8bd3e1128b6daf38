"""A registry with texts that act on a terminal, as an earlier Parfocal or a hostile one may hold them."""

import io
from dataclasses import replace
from pathlib import Path

from fakes.registry.publisher import numbered_adapter, small_publication
from parfocal.registry import Evaluation, FolderRegistry, Manifest, Provenance
from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.index.sqlite import SqliteIndex

# A title, a cleared screen, a colour; 8-bit CSI; a line that reads backwards; forged lines.
ESCAPES = "\x1b]0;PWNED\x07\x1b[2J\x9b31m\u202egnp.exe\u2066\rforged\nforged\u2028forged"
OBEYED = ("\x1b]0;", "\x1b[2J", "\x9b", "\u202e", "\u2066", "\u2028", "\x07", "\rforged", "\nforged")


def hostile_manifest(sound: Manifest) -> Manifest:
    """The manifest with such a text wherever it holds a text that a publisher chooses."""
    base = replace(sound.contract.base, id=f"org/{ESCAPES}", revision=f"main{ESCAPES}")
    return replace(
        sound,
        contract=replace(sound.contract, base=base),
        provenance=Provenance(
            f"data{ESCAPES}", {f"key{ESCAPES}": f"value{ESCAPES}"}, 1, {f"tool{ESCAPES}": ESCAPES}, ESCAPES
        ),
        evaluation=Evaluation(f"rows{ESCAPES}", 3, {f"metric{ESCAPES}": 0.5}),
        warnings=(f"warning{ESCAPES}",),
    )


def hostile_registry(path: Path, folder: Path) -> None:
    """Makes a registry in `path` with two such versions of team/x, and an alias moved by such an actor."""
    registry = FolderRegistry(path)
    registry.publish("team/x", numbered_adapter(folder, 1), small_publication(folder))
    second = registry.publish("team/y", numbered_adapter(folder, 2), small_publication(folder))
    manifest = hostile_manifest(second.manifest)
    index = SqliteIndex(path / "index.sqlite", lambda: None)
    FolderBlobs(path).put(io.BytesIO(manifest.to_bytes()))
    index.add_version("team/x", manifest.to_bytes())
    for version in (1, 2):
        index.set_alias("team/x", "prod", version, f"eve{ESCAPES}")
    index.close()
    FolderRegistry(path)
