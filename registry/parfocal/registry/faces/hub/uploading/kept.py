"""Which files of an upload matter: those that `parfocal push` reads. The others are not kept."""

from collections.abc import Collection, Mapping

from parfocal.registry.errors import AdapterRefused, InvalidUpload, MalformedFile
from parfocal.registry.packing import MANIFEST_FILE, signature_names
from parfocal.registry.peft import check_kind
from parfocal.registry.values import CONFIG_FILE, TEMPLATE_FILE, WEIGHTS_FILE, is_attachment
from parfocal.v1.limits import (
    ATTACHMENT_BYTES,
    COMMIT_PATH_CHARACTERS,
    CONFIG_BYTES,
    MANIFEST_BYTES,
    SIGNATURE_BYTES,
    TEMPLATE_BYTES,
    WEIGHTS_BYTES,
)

NEEDED = (CONFIG_FILE, WEIGHTS_FILE)
# What a version is made of, and how many bytes each may have.
_PARTS: Mapping[str, int] = {
    CONFIG_FILE: CONFIG_BYTES.most,
    WEIGHTS_FILE: WEIGHTS_BYTES.most,
    TEMPLATE_FILE: TEMPLATE_BYTES.most,
}
# What is only looked at, for warnings, or to make the version that there is elsewhere; larger ones are
# left unread there too.
_LOOKED_AT: Mapping[str, int] = {
    "tokenizer_config.json": 16 << 20,
    "tokenizer.json": 64 << 20,
    "added_tokens.json": 16 << 20,
    MANIFEST_FILE: MANIFEST_BYTES.most,
    **dict.fromkeys(signature_names(), SIGNATURE_BYTES.most),
}
_SHOWN = 4


def checked_path(path: str) -> str:
    """`path`, if a file of a repository can have it; raises InvalidUpload."""
    segments = path.split("/")
    is_plain = path.isprintable() and "\\" not in path and not {"", ".", "..", ".git"} & set(segments)
    if not is_plain or len(path) > COMMIT_PATH_CHARACTERS.most:
        raise InvalidUpload(
            f"no file of a repository can lie at {path[:100]!a}; give a relative path of at most "
            f"{COMMIT_PATH_CHARACTERS.most} characters without . and .. in it",
            field="path",
        )
    return path


def is_kept(path: str, size: int) -> bool:
    """Whether a file of this size matters; raises MalformedFile for a part of a version that is too large."""
    most = _PARTS.get(path)
    if most is None and is_attachment(path):
        return 0 < size <= ATTACHMENT_BYTES.most
    if most is None:
        return size <= _LOOKED_AT.get(path, -1)
    if size > most:
        raise MalformedFile(f"{path} is {size} bytes long; at most {most} are accepted", field=path)
    return True


def check_is_adapter(paths: Collection[str], repo: str) -> None:
    """Raises AdapterRefused, saying what they are, where the files of an upload are another kind's."""
    if WEIGHTS_FILE in paths:
        return
    check_kind([path for path in paths if "/" not in path], repo)
    below = [path for path in paths if path.endswith(f"/{WEIGHTS_FILE}")]
    if below and CONFIG_FILE not in paths:
        folder = below[0].rpartition("/")[0]
        raise AdapterRefused(
            f"{repo} would have its {WEIGHTS_FILE} in the folder {folder[:100]!a}, where no client looks for "
            "it; upload that folder alone, with its files at the top of the repository",
            field=below[0][:200],
        )


def told_ignored(paths: Collection[str]) -> str:
    """What the client is told of files that are not kept."""
    shown = ", ".join(ascii(path[:80])[1:-1] for path in list(paths)[:_SHOWN])
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return (
        f"not kept: {shown}{more}. A version holds {CONFIG_FILE}, {WEIGHTS_FILE} and perhaps "
        f"{TEMPLATE_FILE}; its README.md is written from its manifest"
    )
