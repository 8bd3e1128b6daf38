"""The images: the Dockerfile's style, and what an operator relies on."""

import re

from checks.check import DEPLOY, Found, faults, named, tool
from checks.dockerfile import Dockerfile, Stage, read_dockerfile

DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
IMAGES = ("server-cuda", "server-cpu", "registry")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_NUMERIC = re.compile(r"^[1-9][0-9]*:[1-9][0-9]*$")


def dockerfile_is_tidy() -> Found:
    """hadolint; it exists for none of the machine's other architectures, where it is missing by name."""
    return faults([tool("hadolint"), "--config", DEPLOY / "docker" / "hadolint.yaml", DOCKERFILE])


def images_keep_their_promises() -> Found:
    """Bases by digest, a numeric user without rights, a word about health, and labels, in each image."""
    file = read_dockerfile(DOCKERFILE)
    found = [
        f"{named(DOCKERFILE)}: stage {stage.name} is built on {stage.base}, which no digest pins"
        for stage in file.stages
        if stage.base not in file.names and not _DIGEST.search(stage.base)
    ]
    return found + [
        f"{named(DOCKERFILE)}: image {name} {fault}" for name in IMAGES for fault in _lacks(file, name)
    ]


def _lacks(file: Dockerfile, name: str) -> Found:
    if name not in file.names:
        return ["is missing"]
    line = file.lineage(name)
    found = []
    users = _last(line, "USER")
    if not _NUMERIC.match(users):
        found.append(f"runs as {users or 'root'}; Kubernetes proves only a numeric user to be none but root")
    for word in ("HEALTHCHECK", "ENTRYPOINT", "STOPSIGNAL"):
        if not _last(line, word):
            found.append(f"has no {word}")
    if "org.opencontainers.image.licenses" not in " ".join(
        step.text for stage in line for step in stage.steps
    ):
        found.append("has no OCI labels")
    return found


def _last(line: list[Stage], word: str) -> str:
    said = [step.text for stage in line for step in stage.steps if step.word == word]
    return said[-1] if said else ""
