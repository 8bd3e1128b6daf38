"""Finds the files of a data set: a file, standard input, or what the Hub has under a name."""

import re
from pathlib import Path, PurePosixPath

from parfocal.registry.hub import HubReference, hub_failures
from parfocal.training.errors import DataUnreadable

# Path makes one slash of two.
_SCHEME = re.compile(r"hf:/{1,2}(?:datasets/)?")
_SPLIT = re.compile(r"(?P<id>[^:]+)(?::(?P<split>[\w.-]+))?")
_ENDINGS = (".parquet", ".jsonl", ".json", ".csv", ".tsv", ".jsonl.gz", ".json.gz", ".csv.gz", ".ndjson")
_NO_DATA = re.compile(r"(^|/)(\.|dataset_infos\.json$|[^/]*schema[^/]*\.json$|config\.json$)")
DEFAULT_SPLIT = "train"


def located(path: Path) -> tuple[Path, ...]:
    """The files to read for `path`, in order; those of the Hub are fetched at one commit.

    `hf://org/name[@revision][:split]` names a data set of the Hub, as `org/name` does where no such file
    exists. Without a split it is `train`, or all of a data set that has none.

    Raises:
        DataUnreadable: the data set has no file of rows, or no such split.
        HubRefused: the Hub does not give it.
    """
    reference = hub_reference(path)
    if reference is None:
        return (path,)
    return _fetched(*reference, absent=None if _SCHEME.match(str(path)) else path)


def is_of_hub(path: Path) -> bool:
    """Whether `path` names a data set of the Hub rather than a file."""
    return hub_reference(path) is not None


def hub_reference(path: Path) -> tuple[HubReference, str | None] | None:
    """The data set of the Hub, and its split, that `path` names; None for a file."""
    written = str(path)
    scheme = _SCHEME.match(written)
    if scheme is None and (
        path.exists() or written.endswith(_ENDINGS) or written.startswith((".", "/", "~"))
    ):
        return None
    match = _SPLIT.fullmatch(written[scheme.end() :] if scheme else written)
    reference = None if match is None else HubReference.parse(match["id"])
    if reference is None and scheme is not None:
        raise DataUnreadable(
            f"{written!r} is no data set of the Hub; write hf://org/name, hf://org/name@revision or "
            "hf://org/name:split",
            field="data",
        )
    return None if reference is None or match is None else (reference, match["split"])


def chosen_files(names: list[str], split: str | None) -> list[str]:
    """Those of a data set's files that hold the rows of `split`, in order.

    Of several kinds the first of Parquet, JSON lines, JSON and CSV is taken, as the others repeat it.

    >>> chosen_files(["data/train-00000.parquet", "data/test-00000.parquet", "README.md"], None)
    ['data/train-00000.parquet']
    """
    rows = sorted(name for name in names if name.endswith(_ENDINGS) and not _NO_DATA.search(name))
    wanted = split or DEFAULT_SPLIT
    of_split = [name for name in rows if _is_of(name, wanted)]
    if not of_split and split is None:
        of_split = rows
    for ending in _ENDINGS:
        if of_kind := [name for name in of_split if name.endswith(ending)]:
            return of_kind
    return []


def _is_of(name: str, split: str) -> bool:
    """As data sets are laid out: a folder, or the file's name up to its shard, is called as the split."""
    path = PurePosixPath(name)
    words = re.split(r"[-_.]", path.name)
    return split in path.parts[:-1] or split in words


def _fetched(reference: HubReference, split: str | None, absent: Path | None) -> tuple[Path, ...]:
    """The files at the Hub; `absent` is the file that the name could have been, too."""
    from huggingface_hub import HfApi

    api = HfApi()
    no_file = "" if absent is None else f"there is no file {absent}, and "
    with hub_failures(f"{no_file}the data set {reference} cannot be fetched"):
        info = api.dataset_info(reference.repo, revision=reference.revision)
        names = [each.rfilename for each in info.siblings or ()]
        wanted = chosen_files(names, split)
        if not wanted:
            raise _nothing_in(reference, split, names)
        folder = Path(
            api.snapshot_download(
                reference.repo, repo_type="dataset", revision=info.sha, allow_patterns=wanted
            )
        )
    return tuple(folder / name for name in wanted)


def _nothing_in(reference: HubReference, split: str | None, names: list[str]) -> DataUnreadable:
    what = f"no file of rows for the split {split!r}" if split else "no file of rows"
    held = ", ".join(names[:8]) or "nothing"
    return DataUnreadable(
        f"the data set {reference} has {what}, but {held}; download the right file and give its path",
        field="data",
    )
