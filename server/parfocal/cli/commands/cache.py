"""`parfocal cache`: the bases that servers keep ready for their next start."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from parfocal.cli.display import say, show_json, show_table, size_text, time_text
from parfocal.cli.options import JsonOption
from parfocal.engine import BaseCache, CachedBase
from parfocal.server.settings import base_cache_folder

_KEY_CHARACTERS = 12

CacheOption = Annotated[
    str,
    typer.Option(
        "--base-cache",
        envvar="PARFOCAL_BASE_CACHE",
        metavar="FOLDER",
        help="The folder of the cache, as parfocal serve takes it.",
    ),
]


def build_cache() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="cache",
        help="Show or remove the bases that servers keep ready.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("ls")(_ls)
    group.command("rm")(_rm)
    return group


def _ls(folder: CacheOption = "auto", as_json: JsonOption = False) -> None:
    """List the bases that are kept, the most recently served first.

    Example: parfocal cache ls
    """
    cache = _opened(folder)
    bases = cache.bases()
    if as_json:
        show_json({"folder": str(cache.root), "bases": [_document(base) for base in bases]})
        return
    rows = [
        (
            base.key[:_KEY_CHARACTERS],
            base.name,
            base.dtype,
            base.device,
            size_text(base.size_bytes),
            time_text(_moment(base)),
            "now" if base.is_served else "",
        )
        for base in bases
    ]
    show_table(("KEY", "BASE", "DTYPE", "DEVICE", "SIZE", "SERVED LAST", "IN USE"), rows)


def _rm(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY|BASE]...", help="Which bases, as parfocal cache ls names them."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every base that is not in use.")] = False,
    folder: CacheOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Remove bases that are kept.

    The next start on one takes longer; nothing else is lost. A base that is being served stays.

    Example: parfocal cache rm tiny
    """
    if bool(names) == everything:
        raise typer.BadParameter("name the bases, or give --all", param_hint="[KEY|BASE]...")
    cache = _opened(folder)
    chosen = _chosen(cache.bases(), names)
    removed = [base for base in chosen if cache.remove(base.key)]
    kept = [base for base in chosen if base not in removed]
    if as_json:
        freed = sum(base.size_bytes for base in removed)
        show_json({"removed": [_document(base) for base in removed], "freed_bytes": freed})
    else:
        for base in removed:
            say(f"Removed {base.name} ({base.dtype}), {size_text(base.size_bytes)}")
        if everything and not removed:
            say("There was nothing to remove")
    held = ", ".join(f"{base.name} ({base.key[:_KEY_CHARACTERS]})" for base in kept)
    if kept and everything:
        say(f"parfocal: {held} is being served and stays", err=True)
    elif kept:
        raise _refused(f"{held} is being served and stays; stop its server first")


def _opened(folder: str) -> BaseCache:
    path = base_cache_folder(folder)
    if path is None:
        raise typer.BadParameter("it is empty: there is no cache", param_hint="--base-cache")
    return BaseCache(path)


def _chosen(bases: list[CachedBase], names: list[str] | None) -> list[CachedBase]:
    """The bases that have one of these names or whose key begins with one; all without names."""
    if not names:
        return bases
    chosen: dict[str, CachedBase] = {}
    for name in names:
        found = [base for base in bases if name == base.name or base.key.startswith(name)]
        if not name or not found:
            raise _refused(f"no base {name!r} is kept; parfocal cache ls shows those that are")
        chosen |= {base.key: base for base in found}
    return list(chosen.values())


def _refused(message: str) -> typer.Exit:
    say(f"parfocal: {message}", err=True)
    return typer.Exit(1)


def _document(base: CachedBase) -> dict[str, object]:
    return {
        "key": base.key,
        "base": base.name,
        "dtype": base.dtype,
        "device": base.device,
        "size_bytes": base.size_bytes,
        "used_at": _moment(base).isoformat().replace("+00:00", "Z"),
        "in_use": base.is_served,
    }


def _moment(base: CachedBase) -> datetime:
    return datetime.fromtimestamp(base.used_at, UTC)
