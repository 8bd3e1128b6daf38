"""Finds the files of a base: the embedded `tiny`, a local folder, or a Hub repository. Reads none of them."""

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from parfocal.registry.errors import BaseNotFetched, BaseUnreachable

TINY = "tiny"

_CONFIG = "config.json"
_DESCRIPTION_FILES = (
    _CONFIG, "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
    "vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "chat_template.jinja",
    "chat_template.json",
)  # fmt: skip
_WEIGHT_FILES = ("*.safetensors", "*.safetensors.index.json")
_HUB_ID = re.compile(
    r"(?P<id>[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)(?:@(?P<revision>[\w./-]+))?", re.ASCII
)
_HOW_ON = "give a folder that holds it with --base"


@dataclass(frozen=True, slots=True)
class BaseFiles:
    """Where a base's files are. `revision` is a commit of the Hub, None for a folder."""

    id: str
    revision: str | None
    folder: Path


def locate_base(reference: str, weights: bool) -> BaseFiles:
    """The files of `tiny`, of a folder, or of a Hub repository (`org/name` or `org/name@revision`).

    Without `weights` only configuration and tokenizer files are fetched from the Hub; its cache, HF_ENDPOINT
    and offline mode are honoured. Raises BaseUnreachable; BaseNotFetched where the Hub may give it later.
    """
    folder = Path(reference).expanduser()
    if reference != TINY and folder.is_dir():
        folder = folder.resolve()
        return _checked(BaseFiles(folder.name, None, folder), reference)
    return locate_shared_base(reference, weights)


def locate_shared_base(reference: str, weights: bool) -> BaseFiles:
    """The files of `tiny` or of a Hub repository, never of a folder: strangers send references."""
    if reference == TINY:
        return _checked(BaseFiles(TINY, None, Path(str(resources.files(__package__ or "") / TINY))), TINY)
    match = _HUB_ID.fullmatch(reference)
    if match is None or ".." in reference:
        raise BaseUnreachable(
            f"base {reference[:200]!a} is neither 'tiny', nor a folder that exists, nor a Hub id like "
            f"org/name; {_HOW_ON}",
            field="base",
        )
    return _checked(_from_hub(match["id"], match["revision"], weights), reference)


def _from_hub(base_id: str, revision: str | None, weights: bool) -> BaseFiles:
    # Imported here because it takes longer than most commands, which never ask the Hub.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # The first base of its own error is the error of whichever HTTP client this release is built on.
    unreachable: tuple[type[Exception], ...] = (
        OSError,
        ValueError,
        EntryNotFoundError,
        *HfHubHTTPError.__bases__,
    )
    patterns = [*_DESCRIPTION_FILES, *(_WEIGHT_FILES if weights else ())]
    try:
        folder = Path(snapshot_download(base_id, revision=revision, allow_patterns=patterns))
    except unreachable as error:
        is_final = isinstance(error, RepositoryNotFoundError | RevisionNotFoundError | HFValidationError)
        kind = BaseUnreachable if is_final else BaseNotFetched
        raise kind(
            f"base {base_id!r} cannot be fetched from the Hub ({_first_line(error)}); {_HOW_ON}", field="base"
        ) from error
    return BaseFiles(base_id, folder.name, folder)


def _checked(files: BaseFiles, reference: str) -> BaseFiles:
    if not (files.folder / _CONFIG).is_file():
        raise BaseUnreachable(
            f"base {reference!r} has no {_CONFIG} in {files.folder}; {_HOW_ON}", field="base"
        )
    return files


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
