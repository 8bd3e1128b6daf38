"""Whom a registry, a server or a person trusts to sign: named public keys in a file, one JSON object a line.

A file in PEM, as other tools write it, is read too: its keys are named after the file.
"""

import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from parfocal.registry.disk import disk_errors, give_to_owner, sync_descriptor, sync_folder
from parfocal.registry.errors import InvalidArgument, InvalidKey
from parfocal.registry.signing.keys import Algorithm, PublicKey
from parfocal.registry.values import FieldError, InvalidJson, JsonObject, check_actor, dumps, loads

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_MOST_BYTES = 4 << 20
_BORDER = b"-----BEGIN "
_BLOCK = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----.*?-----END [A-Z0-9 ]+-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, whose it is, and until when what it has signed counts; `expires` None is for ever."""

    name: str
    key: PublicKey
    expires: datetime | None = None

    def is_expired(self, now: datetime) -> bool:
        """Whether its signatures count no more."""
        return self.expires is not None and now >= self.expires

    def line(self) -> str:
        """The key as a line of the file."""
        fields = {
            "name": self.name,
            "algorithm": self.key.algorithm.value,
            "public_key": self.key.to_text(),
            "expires": None if self.expires is None else self.expires.astimezone(UTC).isoformat(),
        }
        return dumps(fields).decode()


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """The keys in a file by their ids, and what is wrong with lines that are no key."""

    keys: Mapping[str, TrustedKey] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def __or__(self, others: "TrustedKeys") -> "TrustedKeys":
        """Both together; of a key that both have, the first name counts."""
        return TrustedKeys({**others.keys, **self.keys}, (*self.faults, *others.faults))


def read_trusted_keys(path: Path) -> TrustedKeys:
    """The keys in a file; a line that is none makes nobody trusted, and is told in `faults`.

    Raises InvalidKey for a file that cannot be read, or that others than its owner may write: they could make
    themselves trusted.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            held = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InvalidKey(
            f"the file of trusted keys {path} cannot be read: {error.strerror}; parfocal trust add makes one",
            field="trusted_keys",
        ) from error
    if not stat.S_ISREG(mode) or len(held) > _MOST_BYTES:
        raise InvalidKey(f"{path} is no file of at most {_MOST_BYTES >> 20} MiB", field="trusted_keys")
    if mode & _OTHERS_WRITE:
        raise InvalidKey(
            f"others than its owner may write {path}, and so make themselves trusted; chmod go-w {path}, "
            "and look whether you know all keys in it: parfocal trust ls",
            field="trusted_keys",
        )
    return _in_pem(held, path.stem) if _BORDER in held[:1000] else _in_lines(held)


def whole_trusted_keys(path: Path) -> TrustedKeys:
    """As `read_trusted_keys`, and raises InvalidKey also for a line that is no key."""
    keys = read_trusted_keys(path)
    if keys.faults:
        raise InvalidKey(f"{path}: {keys.faults[0]}; mend or remove it", field="trusted_keys")
    return keys


def add_trusted_key(path: Path, key: TrustedKey) -> None:
    """Adds a key to a file, which is made where there is none.

    Raises InvalidKey for one that is there already and InvalidArgument for a name that is, or that cannot be
    written.
    """
    _check_name(key.name)

    def added(keys: TrustedKeys) -> list[TrustedKey]:
        known = keys.keys.get(key.key.id)
        if known is not None:
            raise InvalidKey(f"{path} has this key already, as {known.name!r}", field="key")
        if any(each.name == key.name for each in keys.keys.values()):
            raise InvalidArgument(
                f"{path} has a key of {key.name!r} already; give another name", field="name"
            )
        return [*keys.keys.values(), key]

    _changed(path, added)


def remove_trusted_key(path: Path, name: str) -> TrustedKey:
    """Removes the key of this name, or with this id, and returns it; raises InvalidArgument or InvalidKey."""
    gone: list[TrustedKey] = []

    def removed(keys: TrustedKeys) -> list[TrustedKey]:
        gone.extend(each for each in keys.keys.values() if name in (each.name, each.key.id))
        if not gone:
            raise InvalidArgument(
                f"{path} has no key of {name[:100]!r}; parfocal trust ls shows them", field="name"
            )
        return [each for each in keys.keys.values() if each not in gone]

    _changed(path, removed)
    return gone[0]


def _in_lines(held: bytes) -> TrustedKeys:
    keys: dict[str, TrustedKey] = {}
    faults: list[str] = []
    for number, line in enumerate(held.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found = _key_in(JsonObject(loads(line)))
        except (InvalidJson, FieldError, InvalidArgument, ValueError, OverflowError) as error:
            faults.append(f"line {number} is no trusted key: {error}")
        else:
            keys.setdefault(found.key.id, found)
    return TrustedKeys(keys, tuple(faults))


def _key_in(fields: JsonObject) -> TrustedKey:
    """The key in a line; raises FieldError, InvalidArgument, and ValueError or OverflowError for a time."""
    algorithm, until = fields.text("algorithm"), fields.optional_text("expires")
    if algorithm not in list(Algorithm):
        known = ", ".join(Algorithm)
        raise FieldError("algorithm", f"is {algorithm[:40]!a}; there are {known}")
    key = PublicKey.from_text(fields.text("public_key"))
    if key.algorithm != algorithm:
        raise FieldError("public_key", f"is of {key.algorithm}, not of {algorithm}")
    expires = None if until is None else datetime.fromisoformat(until)
    if expires is not None and expires.tzinfo is None:
        raise FieldError("expires", f"is {until}, without a time zone")
    until_utc = None if expires is None else expires.astimezone(UTC)
    return TrustedKey(_check_name(fields.text("name")), key, until_utc)


def _in_pem(held: bytes, stem: str) -> TrustedKeys:
    keys: dict[str, TrustedKey] = {}
    faults: list[str] = []
    for number, block in enumerate(_BLOCK.findall(held), 1):
        try:
            key = PublicKey.from_pem(block)
        except InvalidKey as error:
            faults.append(f"key {number}: {error}")
        else:
            keys.setdefault(key.id, TrustedKey(stem if number == 1 else f"{stem}-{number}", key))
    if not keys and not faults:
        faults.append("it has the beginning of a key, and no end")
    return TrustedKeys(keys, tuple(faults))


def _check_name(name: str) -> str:
    if not name.strip():
        raise InvalidArgument("a trusted key needs a name, such as whose it is", field="name")
    return check_actor(name)


def _changed(path: Path, change: Callable[[TrustedKeys], list[TrustedKey]]) -> None:
    """Replaces the file's keys by what `change` makes of them, whole or not at all."""
    file = path.resolve()  # a link stays a link
    with disk_errors(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        with _held(file.parent):
            found = read_trusted_keys(file) if file.exists() else TrustedKeys()
            if found.faults:
                raise InvalidKey(f"{file}: {found.faults[0]}; mend or remove it first", field="trusted_keys")
            lines = "".join(f"{key.line()}\n" for key in change(found))
            _replace(file, lines.encode())


def _replace(file: Path, data: bytes) -> None:
    mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0o644
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "wb") as written:
            os.fchmod(descriptor, mode)
            give_to_owner(descriptor, file.parent)
            written.write(data)
            written.flush()
            sync_descriptor(descriptor)
        partial.replace(file)
    except BaseException:  # an interrupt too: nobody else would remove the part that is written
        partial.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Holds the folder's lock alone; raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
