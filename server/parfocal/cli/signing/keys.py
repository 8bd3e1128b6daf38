"""Keys as commands are given them: a private one to sign with, and files of those that are trusted."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli.reach import OWN_TRUSTED_KEYS, TRUSTED_KEYS
from parfocal.registry import InvalidKey
from parfocal.registry.signing import PrivateKey, Signer, TrustedKeys, whole_trusted_keys

_PASSPHRASE = "PARFOCAL_KEY_PASSPHRASE"
_MOST_BYTES = 1 << 20

SignKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--sign-key",
        metavar="FILE",
        help="Sign it with this private key: Ed25519 or ECDSA on P-256, in PEM.",
        show_default=False,
    ),
]
TrustedKeysOption = Annotated[
    Path | None,
    typer.Option(
        "--trusted-keys",
        metavar="FILE",
        help="Whose signatures count: a file of parfocal trust, or a public key in PEM. Default: "
        f"{TRUSTED_KEYS}, or {OWN_TRUSTED_KEYS}.",
        show_default=False,
    ),
]


def signer_from(path: Path) -> Signer:
    """Reads a private key, asking for its passphrase where one is needed; raises InvalidKey or OSError."""
    data, passphrase = key_file(path), os.environ.get(_PASSPHRASE)
    try:
        return Signer(_read(path, data, passphrase))
    except InvalidKey as error:
        if error.field != "passphrase" or passphrase is not None or not sys.stdin.isatty():
            raise
    asked = typer.prompt(f"Passphrase of {path}", hide_input=True, err=True)
    return Signer(_read(path, data, asked))


def key_file(path: Path) -> bytes:
    """What a file holds, as far as it can be a key; raises OSError."""
    with path.expanduser().open("rb") as file:
        return file.read(_MOST_BYTES)


def trusted_from(paths: Iterable[Path]) -> TrustedKeys:
    """The keys of several files; raises InvalidKey also for a line that is none."""
    found = TrustedKeys()
    for path in paths:
        found = found | whole_trusted_keys(path.expanduser())
    return found


def _read(path: Path, data: bytes, passphrase: str | None) -> PrivateKey:
    try:
        return PrivateKey.from_pem(data, passphrase)
    except InvalidKey as error:
        advice = f"; set {_PASSPHRASE}" if error.field == "passphrase" and passphrase is None else ""
        raise InvalidKey(f"{path}: {error}{advice}", field=error.field) from error
