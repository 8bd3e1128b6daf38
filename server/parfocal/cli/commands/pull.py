"""`parfocal pull`: copies a version's files out of a registry."""

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli.display import say, show_json
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.cli.progress import spinner
from parfocal.cli.reach import registry_at

# What the system says where no folder can be made at all, whoever asks.
_NO_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.ENOSYS)


def pull(
    reference: Annotated[
        str, typer.Argument(metavar="REF", help="The adapter: name, name@3, name@prod or name@sha256:…")
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="Where to put it. Default: the adapter's name, here."),
    ] = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """Copy an adapter's files into a new folder.

    Every byte is verified, and PEFT loads the folder as it is.

    Example: parfocal pull team/invoices@prod ./invoices
    """
    opened = registry_at(registry)
    version = opened.resolve(reference)
    target = folder or Path(version.name.rpartition("/")[2])
    _check_new(target)
    with spinner(f"Fetching {version}"):
        source = opened.materialise(version.digest)
    _copy(source, target, [entry.path for entry in version.manifest.files])
    if as_json:
        document = {"name": version.name, "version": version.version, "digest": version.digest}
        show_json({**document, "folder": str(target)})
    else:
        say(f"{version} is in {target}")


def _copy(source: Path, target: Path, names: Iterable[str]) -> None:
    """Copies all of these files or none, into a new folder, so that nothing old can survive beside them."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        for name in names:
            shutil.copyfile(source / name, partial / name)
        partial.rename(target)
    except OSError as error:
        raise _of_target(error, partial, target) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _of_target(error: OSError, partial: Path, target: Path) -> OSError:
    """The error in words of the folder that was asked for; nobody knows the one that it is written as."""
    place = Path(os.fsdecode(error.filename2 or error.filename or ""))
    if not (place.is_relative_to(partial) or partial.is_relative_to(place)):
        return error
    advice = "; give a folder in a place that can be written" if error.errno in _NO_PLACE else ""
    return OSError(error.errno, f"{error.strerror}{advice}", str(target))


def _check_new(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "it is there already; give a new folder", str(target))
