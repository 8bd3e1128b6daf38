"""`parfocal keys`: the file of API keys that `parfocal serve --keys` holds its callers to."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parfocal.cli.display import say, show_json, show_table, time_text
from parfocal.cli.options import JsonOption
from parfocal.registry.disk import data_home

if TYPE_CHECKING:  # what comes with it takes a moment to import
    from parfocal.rpc.access import Key

_DEFAULT_FILE = Path(f"{data_home()}/keys.jsonl")
_SPAN = re.compile(r"(\d{1,6})([mhdw])")
_SPANS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_UNITS = ", ".join(f"{letter} ({name})" for letter, name in _SPANS.items())

FileOption = Annotated[
    Path,
    typer.Option("--file", envvar="PARFOCAL_KEYS", metavar="FILE", help="The file that the server is given."),
]


def build_keys() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="keys",
        help="Make, list and remove API keys. A running server takes changes up within a second.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("add")(_add)
    group.command("ls")(_ls)
    group.command("rm")(_rm)
    return group


def _add(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Whose key it is, for lists, logs and history.")
    ],
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="What it may do: generate, read, publish, promote or admin, for all adapters or for some "
            "(generate:team/*); generate:base is the base alone. Give it again for more.",
        ),
    ],
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="WHEN",
            help="A time from now (30m, 12h, 90d, 4w) or a moment (2027-01-31). Default: never.",
        ),
    ] = None,
    file: FileOption = _DEFAULT_FILE,
    as_json: JsonOption = False,
) -> None:
    """Make a key, add its hash to the file, and print the key: it is shown this once only.

    generate asks for answers; read downloads adapters; publish adds versions; promote moves aliases; admin
    does all that and deletes. Whoever may do anything with an adapter sees it in lists.

    Example: parfocal keys add ci --scope "publish:team/*" --scope "read:team/*" --expires 90d
    """
    from parfocal.rpc.access import ScopeInvalid, add_key, checked_name, parse_scopes

    now = datetime.now(UTC).replace(microsecond=0)
    try:
        scopes, checked = parse_scopes(scope), checked_name(name)
    except ScopeInvalid as error:
        raise typer.BadParameter(str(error), param_hint="--scope") from error
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from error
    path = file.expanduser()
    key, text = add_key(path, checked, scopes, _moment(expires, now), now)
    if as_json:
        show_json({"key": text, **_document(key), "file": str(path)})
        return
    say(text)
    say(f"Keep it now: {path} has only its hash. Serve with: parfocal serve --keys {path}", err=True)


def _ls(file: FileOption = _DEFAULT_FILE, as_json: JsonOption = False) -> None:
    """List the keys: whose they are and what they may do. None of them can be shown again.

    Example: parfocal keys ls
    """
    from parfocal.rpc.access import read_keys

    found, now = read_keys(file.expanduser()), datetime.now(UTC)
    if as_json:
        keys = [_document(key) | {"expired": key.is_expired(now)} for key in found.keys.values()]
        show_json({"file": str(file.expanduser()), "keys": keys, "faults": found.faults})
        return
    rows = [
        (
            key.id,
            key.name,
            " ".join(map(str, key.scopes)),
            time_text(key.created),
            _end_text(key, now),
        )
        for key in found.keys.values()
    ]
    show_table(("ID", "NAME", "SCOPES", "CREATED", "EXPIRES"), rows)
    for fault in found.faults:
        say(f"parfocal: warning: {fault}", err=True)


def _rm(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as ls shows it.")],
    file: FileOption = _DEFAULT_FILE,
    as_json: JsonOption = False,
) -> None:
    """Remove a key. What runs under it ends within a second.

    Example: parfocal keys rm 1f3a9c02
    """
    from parfocal.rpc.access import remove_key

    key = remove_key(file.expanduser(), key_id)
    if as_json:
        show_json(_document(key))
    else:
        say(f"Removed {key.id}, the key of {key.name}")


def _moment(text: str | None, now: datetime) -> datetime | None:
    """When a key ends; raises BadParameter."""
    from parfocal.rpc.access import read_moment

    if text is None:
        return None
    span = _SPAN.fullmatch(text)
    try:
        ends = now + timedelta(**{_SPANS[span[2]]: int(span[1])}) if span else read_moment(text)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text[:40]!a} is neither a time from now, such as 90d, in {_UNITS}, nor a moment, such as "
            "2027-01-31",
            param_hint="--expires",
        ) from error
    if ends is None or ends <= now:
        raise typer.BadParameter(
            f"{text[:40]!a} has passed; the key would open nothing", param_hint="--expires"
        )
    return ends


def _document(key: "Key") -> dict[str, object]:
    from parfocal.rpc.access import written

    return {
        "id": key.id,
        "name": key.name,
        "scopes": [str(scope) for scope in key.scopes],
        "created": written(key.created),
        "expires": written(key.expires),
    }


def _end_text(key: "Key", now: datetime) -> str:
    if key.expires is None:
        return "never"
    return f"{time_text(key.expires)}{', expired' if key.is_expired(now) else ''}"
