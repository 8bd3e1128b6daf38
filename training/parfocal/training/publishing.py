"""Publishes a finished run, now or later, and asks the registry before a run begins. No torch."""

import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from parfocal.registry import (
    AdapterNotFound,
    BaseContract,
    Evaluation,
    FolderRegistry,
    Provenance,
    Publication,
    Registry,
    Rendering,
    Version,
    open_registry,
)
from parfocal.registry.values import JSON, FieldError, JsonObject
from parfocal.training.attaching import attached_files
from parfocal.training.errors import InvalidConfig, NothingToPublish, RunDamaged
from parfocal.training.runs import Digests, RunFolder, changed_file, file_digests, is_sealed, sealed
from parfocal.training.signing import SigningKey

_PROBE = b"\0" * 65536


def ask_registry(registry: Registry, name: str) -> None:
    """Finds out, before hours of training, what would keep the result from being published.

    Raises:
        InvalidConfig: the folder of the registry cannot be written.
        RegistryError: the registry does not answer, or refuses the name.
    """
    with suppress(AdapterNotFound):  # a new name: this will be its first version
        registry.versions(name, page_size=1)
    if isinstance(registry, FolderRegistry):
        _check_writable(registry.path)


def open_existing(location: str) -> Registry | None:
    """Opens a registry without creating one; None if its folder does not exist yet."""
    if "://" not in location and not Path(location).expanduser().exists():
        return None
    return open_registry(location, create=False)


def publish_run(
    folder: Path,
    registry: str | None = None,
    name: str | None = None,
    *,
    fallback: str | None = None,
    key: SigningKey = SigningKey(),  # noqa: B008  # frozen
) -> Version:
    """Publishes the adapter of a finished run with its evaluation and its origin.

    `registry`, `name` and `key` are those that the run was given, unless they are given here;
    `fallback` is the registry where neither names one.

    Raises:
        NothingToPublish: the folder holds no finished run, or the run was given no registry.
        RunDamaged: its record, its evaluation or its adapter is not as it was written.
        RegistryError: the registry does not answer, or refuses the adapter, or the key is none.
    """
    run, config = RunFolder.open(folder)
    publication = replace(_stored(run), sign=key.sign(config), attachments=attached_files(run.attachments))
    where = registry or config.registry or fallback
    if where is None:
        raise NothingToPublish(
            f"the run in {run.path} was given no registry; say where to publish with --registry",
            field="registry",
        )
    return open_registry(where).publish(name or config.name, run.adapter, publication)


def publication_json(
    publication: Publication, files: Digests, attachments: Digests = MappingProxyType({})
) -> dict[str, JSON]:
    """Serialises what is published with the adapter's `files` and `attachments`, to be published later."""
    parts = {
        "base": publication.base,
        "provenance": publication.provenance,
        "evaluation": publication.evaluation,
        "rendering": publication.rendering,
    }
    values: dict[str, JSON] = {name: None if part is None else part.to_json() for name, part in parts.items()}
    rest: dict[str, JSON] = {
        "tags": list(publication.tags),
        "files": dict(files),
        "attachments": dict(attachments),
    }
    return sealed({**values, **rest})


def check_adapter(run: RunFolder, files: Digests) -> None:
    """Raises RunDamaged unless the run's adapter is the one that was trained and scored."""
    changed = changed_file(files, file_digests(run.adapter))
    if changed is not None:
        raise RunDamaged(
            f"the adapter {run.adapter} is damaged: {changed}; put the file back from a copy, or train again",
            field="output",
            path=str(run.adapter),
        )


def _check_attachments(run: RunFolder, files: Digests) -> None:
    found = file_digests(run.attachments) if run.attachments.is_dir() else {}
    changed = changed_file(files, found)
    if changed is not None:
        raise RunDamaged(
            f"{run.attachments} is damaged: {changed}; put the file back from a copy, or publish the adapter "
            f"alone with: parfocal push {run.adapter} NAME",
            field="output",
            path=str(run.attachments),
        )


def read_publication(values: Mapping[str, JSON]) -> Publication:
    """Reads what `publication_json` wrote; raises FieldError."""
    fields = JsonObject(values)
    return Publication(
        base=BaseContract.from_json(fields.object("base")),
        provenance=Provenance.from_json(fields.object("provenance")),
        evaluation=Evaluation.from_json(fields.object("evaluation")),
        rendering=Rendering.from_json(fields.object("rendering")),
        tags=fields.texts("tags") if fields.given("tags") else (),  # of runs before there were any
    )


def _stored(run: RunFolder) -> Publication:
    """Reads what a finished run left to be published, and proves that it and the adapter are unchanged."""
    try:
        values = json.loads(run.publication.read_bytes())
    except FileNotFoundError as error:
        raise _nothing_stored(run) from error
    except ValueError as error:
        raise _damaged(run, "it cannot be read") from error
    if not is_sealed(values):
        raise _damaged(run, "it is not as the run wrote it")
    check_adapter(run, values["files"])
    _check_attachments(run, values.get("attachments", {}))
    try:
        return read_publication(values)
    except FieldError as error:
        raise _damaged(run, str(error)) from error


def _nothing_stored(run: RunFolder) -> NothingToPublish:
    if run.finished:
        return NothingToPublish(
            f"the run in {run.path} is of an earlier Parfocal, which kept no evaluation to publish; "
            f"publish the files alone with: parfocal push {run.adapter} NAME",
            field="output",
        )
    return NothingToPublish(
        f"the run in {run.path} is not finished; go on with: parfocal train --resume --output {run.path}",
        field="output",
    )


def _damaged(run: RunFolder, what: str) -> RunDamaged:
    return RunDamaged(
        f"{run.publication} is damaged: {what}; put it back from a copy, or publish the files alone with: "
        f"parfocal push {run.adapter} NAME",
        field="output",
        path=str(run.publication),
    )


def _check_writable(folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(_PROBE)
            file.flush()
    except OSError as error:
        raise InvalidConfig(
            f"the registry {folder} cannot be written ({error.strerror}); mend that, name another "
            "one with --registry, or train with --no-publish and publish later",
            field="registry",
        ) from error
