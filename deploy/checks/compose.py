"""Compose files: their schema, and that what they mount and build is there."""

from pathlib import Path

import yaml

from checks.check import DEPLOY, Found, faults, named, tool
from checks.docker import DOCKERFILE
from checks.dockerfile import read_dockerfile

FOLDER = DEPLOY / "compose"


def compose_fits_its_schema() -> Found:
    """The Compose specification's own schema, which check-jsonschema brings."""
    files = sorted(FOLDER.glob("*.yaml"))
    return faults([tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *files])


def compose_finds_what_it_names() -> Found:
    """Mounted folders exist, targets are stages, and foreign images are pinned by digest."""
    targets = read_dockerfile(DOCKERFILE).names
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        for name, service in yaml.safe_load(path.read_text("utf-8"))["services"].items():
            found += [f"{named(path)}: {name}: {fault}" for fault in _faults(service, targets)]
    return found


def _faults(service: dict[str, object], targets: list[str]) -> Found:
    found = []
    build, image = service.get("build"), str(service.get("image", ""))
    if isinstance(build, dict):
        if build.get("target") not in targets:
            found.append(f"builds {build.get('target')}, which is no stage of the Dockerfile")
    elif image and "@sha256:" not in image:
        found.append(f"the image {image} is pinned by no digest")
    volumes = service.get("volumes", [])
    assert isinstance(volumes, list)
    for volume in volumes:
        source = str(volume).partition(":")[0]
        if source.startswith(".") and not _is_there(source):
            found.append(f"mounts {source}, which does not exist")
    return found


def _is_there(source: str) -> bool:
    return Path(FOLDER, source).exists()
