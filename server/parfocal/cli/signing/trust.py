"""`parfocal trust`: the file of public keys whose signatures count, and new keys to sign with."""

import errno
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli.display import say, show_json, show_table, time_text
from parfocal.cli.options import JsonOption
from parfocal.cli.reach import OWN_TRUSTED_KEYS, TRUSTED_KEYS
from parfocal.cli.signing.keys import key_file
from parfocal.cli.signing.telling import key_text
from parfocal.registry import InvalidKey
from parfocal.registry.signing import (
    Algorithm,
    PrivateKey,
    PublicKey,
    TrustedKey,
    add_trusted_key,
    read_trusted_keys,
    remove_trusted_key,
)

_SPAN = re.compile(r"(\d{1,6})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}

FileOption = Annotated[
    Path,
    typer.Option("--file", envvar=TRUSTED_KEYS, metavar="FILE", help="The file that a server is given."),
]


def build_trust() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="trust",
        help="Make keys to sign with, and say whose signatures count. A running server takes changes up "
        "within a second.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("new-key")(_new_key)
    group.command("add")(_add)
    group.command("ls")(_ls)
    group.command("rm")(_rm)
    return group


def _new_key(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Where the private key goes. The public one goes beside it, as FILE.pub."
        ),
    ],
    algorithm: Annotated[
        Algorithm,
        typer.Option("--algorithm", help="model_signing verify reads signatures of ecdsa-p256."),
    ] = Algorithm.ED25519,
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="Ask for a passphrase, or take PARFOCAL_KEY_PASSPHRASE.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a key to sign with.

    Example: parfocal trust new-key ./release.pem --algorithm ecdsa-p256
    """
    private = file.expanduser()
    if not private.name:
        raise typer.BadParameter(f"{str(file)!r} names no file; give one, such as ./release.pem")
    public = private.with_name(f"{private.name}.pub")
    passphrase = _passphrase(file) if encrypt else None
    key = PrivateKey.generate(algorithm)
    for path in (private, public):
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "it is there already; give another name", str(path))
    _write_new(private, key.to_pem(passphrase), 0o600)
    _write_new(public, key.public.to_pem(), 0o644)
    if as_json:
        found = {"key": key.public.id, "algorithm": algorithm.value}
        show_json({**found, "private": str(private), "public": str(public)})
    else:
        say(f"{key_text(key.public.id)} ({algorithm.value}) is in {private}; keep it to yourself")
        say(f"Trust it with: parfocal trust add NAME {public}")


def _add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is, as lists and answers say.")],
    key: Annotated[Path, typer.Argument(metavar="KEY", help="The public key, in PEM.")],
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="WHEN",
            help="Until when what it has signed counts: a time from now (12h, 90d, 4w) or a day "
            "(2027-01-31). Default: for ever.",
        ),
    ] = None,
    file: FileOption = OWN_TRUSTED_KEYS,
    as_json: JsonOption = False,
) -> None:
    """Trust a key: what it has signed, and will sign, counts from now on.

    Example: parfocal trust add release ./release.pem.pub --file ./trusted-keys.jsonl
    """
    try:
        found = PublicKey.from_pem(key_file(key))
    except InvalidKey as error:
        raise InvalidKey(f"{key}: {error}", field="key") from error
    trusted, path = TrustedKey(name, found, _moment(expires)), file.expanduser()
    add_trusted_key(path, trusted)
    if as_json:
        show_json({**_document(trusted), "file": str(path)})
    else:
        say(f"{name} is trusted: {found.algorithm.value}, {key_text(found.id)}, in {path}")


def _ls(file: FileOption = OWN_TRUSTED_KEYS, as_json: JsonOption = False) -> None:
    """List the keys that are trusted.

    Example: parfocal trust ls
    """
    path, now = file.expanduser(), datetime.now(UTC)
    found = read_trusted_keys(path)
    if as_json:
        keys = [_document(key) | {"expired": key.is_expired(now)} for key in found.keys.values()]
        show_json({"file": str(path), "keys": keys, "faults": found.faults})
        return
    rows = [
        (key.name, key.key.algorithm.value, key.key.id[:12], _end_text(key, now))
        for key in found.keys.values()
    ]
    show_table(("NAME", "ALGORITHM", "KEY", "EXPIRES"), rows)
    for fault in found.faults:
        say(f"parfocal: warning: {fault}", err=True)


def _rm(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, or its whole id.")],
    file: FileOption = OWN_TRUSTED_KEYS,
    as_json: JsonOption = False,
) -> None:
    """Trust a key no more: what only it has signed is not signed any more, wherever this file counts.

    Example: parfocal trust rm release
    """
    key = remove_trusted_key(file.expanduser(), name)
    if as_json:
        show_json(_document(key))
    else:
        say(f"{key.name} is not trusted any more: {key_text(key.key.id)}")


def _passphrase(file: Path) -> str:
    given = os.environ.get("PARFOCAL_KEY_PASSPHRASE")
    if given:
        return given
    asked: str = typer.prompt(f"Passphrase for {file}", hide_input=True, confirmation_prompt=True, err=True)
    return asked


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Writes a file that is not there yet; raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:
        file.write(data)


def _moment(text: str | None) -> datetime | None:
    """When a key ends; raises BadParameter."""
    if text is None:
        return None
    span, now = _SPAN.fullmatch(text), datetime.now(UTC)
    try:
        if span:
            ends = now + timedelta(hours=int(span[1]) * _HOURS[span[2]])
        else:
            ends = datetime.fromisoformat(text)
            ends = (ends if ends.tzinfo is not None else ends.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text[:40]!a} is neither a time from now, such as 90d, nor a moment, such as 2027-01-31",
            param_hint="--expires",
        ) from error
    if ends <= now:
        raise typer.BadParameter(f"{text[:40]!a} has passed; nothing would count", param_hint="--expires")
    return ends


def _document(key: TrustedKey) -> dict[str, object]:
    return {
        "name": key.name,
        "algorithm": key.key.algorithm.value,
        "key": key.key.id,
        "expires": None if key.expires is None else key.expires.astimezone(UTC).isoformat(),
    }


def _end_text(key: TrustedKey, now: datetime) -> str:
    if key.expires is None:
        return "never"
    return f"{time_text(key.expires)}{', expired' if key.is_expired(now) else ''}"
