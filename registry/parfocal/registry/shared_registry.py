"""A registry whose index and blobs are where its address says: in databases, buckets, folders."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from parfocal.registry.blobs import BlobStore, FolderBlobs
from parfocal.registry.copies import LocalCopies
from parfocal.registry.disk import Staging, cache_home, disk_errors, make_folder
from parfocal.registry.errors import (
    InvalidArgument,
    NotARegistry,
    RegistryForbidden,
    RegistryReadOnly,
)
from parfocal.registry.index import Index
from parfocal.registry.keeping import check_nothing_is_lost
from parfocal.registry.publishing import IsolatedCheck, check_here
from parfocal.registry.storage_address import StorageAddress
from parfocal.registry.stored_registry import StoredRegistry

Founding = Callable[[], None]


class SharedRegistry(StoredRegistry):
    """The registry at `address`, made when absent unless `create` is false.

    Local copies, and what is on its way to or from a store, are in `cache`, by default the user's. If
    `isolated`, what is published is checked in a process of its own. Raises InvalidArgument, NotARegistry,
    IndexLost, RegistryTooNew or another StorageError.
    """

    # A publisher that lost its connection lost its lock with it; its files are not collected at once.
    grace_s: ClassVar[float] = 3600.0

    def __init__(
        self,
        address: StorageAddress,
        *,
        create: bool = True,
        cache: Path | None = None,
        isolated: bool = False,
    ) -> None:
        home = cache or cache_home()
        blobs, blobs_shown = blobs_at(address.blobs, home)

        def founding() -> None:
            if not create:
                raise NotARegistry(f"{address.index} has no registry; publish into it first")
            check_nothing_is_lost(blobs, blobs_shown)

        index, index_shown = _index(address.index, founding)
        staging = Staging(home / "staging")
        location = f"{index_shown}{'&' if '?' in index_shown else '?'}blobs={blobs_shown}"
        copies = [LocalCopies(home)]
        super().__init__(location, index, blobs, copies, IsolatedCheck(staging) if isolated else check_here)
        with suppress(RegistryForbidden, RegistryReadOnly):
            blobs.clean()
        self.catch_up()
        with disk_errors(home):
            staging.sweep()


def _index(url: str, founding: Founding) -> tuple[Index, str]:
    """The index at a URL, and how it is named in messages."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        from parfocal.registry.index.sqlite import SqliteIndex

        path = Path(unquote(parts.path))
        if parts.netloc or not path.name:
            raise InvalidArgument("an index in SQLite is sqlite:///folder/index.sqlite", field="index")
        with disk_errors(path.parent):
            make_folder(path.parent)
        return SqliteIndex(path, founding), url
    try:
        from parfocal.registry.index.postgres import PostgresAddress, PostgresIndex
    except ImportError as error:
        raise InvalidArgument(
            f"an index in {parts.scheme}:// needs more than is installed ({error}): "
            "pip install 'parfocal[postgres]'",
            field="index",
        ) from error
    address = PostgresAddress.parse(url)
    return PostgresIndex(address, founding), address.shown


def blobs_at(where: str, home: Path) -> tuple[BlobStore, str]:
    """The blobs in a folder or at a URL, and how they are named in messages."""
    parts = urlsplit(where)
    if "://" not in where or parts.scheme == "file":
        path = Path(unquote(parts.path) if parts.scheme == "file" else where).expanduser()
        with disk_errors(path):
            make_folder(path)
        return FolderBlobs(path), str(path)
    from parfocal.registry.blobs.objects import ObjectBlobs, open_bucket

    bucket = open_bucket(where)
    return ObjectBlobs(bucket, home / "staging"), bucket.shown
