"""Fetches an adapter of the Hub at one commit; each file must have the digest that the Hub says it has."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parfocal.registry.errors import (
    AdapterRefused,
    BlobCorrupt,
    HubRefused,
    InvalidSignature,
    MalformedFile,
)
from parfocal.registry.hub.failures import hub_failures
from parfocal.registry.hub.listed_files import ListedFile, listed_files
from parfocal.registry.hub.reference import HubReference
from parfocal.registry.packing import MANIFEST_FILE, Packed, read_packed, signature_names
from parfocal.registry.peft import check_kind
from parfocal.registry.values import CONFIG_FILE, TEMPLATE_FILE, WEIGHTS_FILE, is_attachment

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# An adapter's own. What Parfocal has not described may tell of a template or of tokens that it brings.
_OWN_FILES = (CONFIG_FILE, WEIGHTS_FILE, TEMPLATE_FILE)
_FILES = (
    *_OWN_FILES,
    "tokenizer_config.json",
    "tokenizer.json",
    "added_tokens.json",
)
_PACKED_FILES = (MANIFEST_FILE, *signature_names())
_FETCH_AGAIN = "delete it from the Hub's cache (hf cache delete) and fetch it again"


@dataclass(frozen=True, slots=True)
class HubAdapter:
    """A verified folder, and the commit that it is of.

    `packed` is the version's own manifest where Parfocal pushed it, with the signatures that came too.
    """

    folder: Path
    reference: HubReference
    packed: Packed | None = None


def fetch_adapter(
    reference: HubReference, api: "HfApi | None" = None, files_only: bool = False
) -> HubAdapter:
    """The adapter in a repository, at the commit that its revision is now.

    It comes through the Hub's own client: HF_ENDPOINT, tokens and the cache are honoured. With `files_only`
    nothing is looked at that Parfocal has put beside the files. Raises HubRefused, AdapterRefused where the
    repository holds no PEFT adapter, or a manifest or signature of something else, BlobCorrupt, and OSError
    of this machine.
    """
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    with hub_failures(f"{reference} cannot be fetched from the Hub"):
        info = api.model_info(reference.repo, revision=reference.revision, files_metadata=True)
        listed = listed_files(info)
    pinned = HubReference(reference.repo, info.sha)
    if info.sha is None:
        raise HubRefused(f"the Hub does not say which commit {reference} is", field="hub")
    _check_is_adapter(listed, pinned)
    is_packed = MANIFEST_FILE in listed and not files_only
    names = (*(_OWN_FILES if is_packed else _FILES), *(_PACKED_FILES if is_packed else ()))
    attached = [name for name in sorted(listed) if is_packed and is_attachment(name)]
    wanted = [*(name for name in names if name in listed), *attached]
    with hub_failures(f"{pinned} cannot be fetched from the Hub"):
        folder = Path(api.snapshot_download(reference.repo, revision=info.sha, allow_patterns=wanted))
        for name in wanted:
            if not (folder / name).exists():  # signed since the client kept what this commit holds
                api.hf_hub_download(reference.repo, name, revision=info.sha)
    for name in wanted:
        _verify(folder / name, listed[name], pinned)
    if not is_packed:
        return HubAdapter(folder, pinned)
    return HubAdapter(folder, pinned, _packed(folder, wanted, pinned))


def _packed(folder: Path, wanted: Collection[str], pinned: HubReference) -> Packed | None:
    try:
        return read_packed(folder, wanted)
    except (MalformedFile, BlobCorrupt, InvalidSignature) as error:
        advice = "push the whole version to it again, or take its files alone with --files-only"
        raise AdapterRefused(
            f"what {pinned} holds is not what it says: {error}; {advice}", field=MANIFEST_FILE
        ) from error


def _check_is_adapter(listed: Collection[str], pinned: HubReference) -> None:
    if WEIGHTS_FILE not in listed:
        check_kind(sorted(listed), str(pinned))
    missing = [name for name in (WEIGHTS_FILE, CONFIG_FILE) if name not in listed]
    if missing:
        raise AdapterRefused(
            f"{pinned} has no {missing[0]}; a PEFT adapter is {CONFIG_FILE} and {WEIGHTS_FILE}",
            field=missing[0],
        )


def _verify(path: Path, listed: ListedFile | None, pinned: HubReference) -> None:
    """Raises BlobCorrupt unless a file is the one that the Hub lists: its client looks at sizes only."""
    if listed is None:
        raise HubRefused(
            f"the Hub gives no digest of {path.name} of {pinned}, so what came cannot be verified",
            field="hub",
        )
    actual = listed.found_in(path)
    if actual != listed.digest:
        raise BlobCorrupt(
            f"{path.name} of {pinned} has digest {actual} instead of {listed.digest}; {_FETCH_AGAIN}",
            file=path.name,
            expected=listed.digest,
            actual=actual,
        )
