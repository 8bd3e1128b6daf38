"""A process that publishes into a shared registry: `python -m fakes.registry.shared_writer ORDER`, in JSON.

It prints a line of JSON for each thing that was acknowledged, and no other.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from fakes.registry.publisher import numbered_adapter, small_publication
from parfocal.registry import AliasMoved, Publication, Registry, SharedRegistry, StorageAddress
from parfocal.registry.errors import AliasNotFound, StorageError

Result = TypeVar("Result")
NAME, ALIAS = "team/shared", "prod"
_INSISTS_S = 120.0


@dataclass(frozen=True, slots=True)
class WriterOrder:
    """`threads` writers, each of which publishes `count` adapters, the first of all with number `first`."""

    index: str
    blobs: str
    folder: str
    first: int
    threads: int
    count: int

    def command(self) -> list[str]:
        """What runs such a process."""
        return [sys.executable, "-m", "fakes.registry.shared_writer", json.dumps(asdict(self))]


def write_once(registry: Registry, folder: Path, publication: Publication, tell: Callable[..., None]) -> None:
    """Publishes an adapter, and moves the alias to it from wherever it is found."""
    version = insisting(lambda: registry.publish(NAME, folder, publication))
    tell(published=version.version, digest=version.digest)
    now = insisting(lambda: points_at(registry))
    try:
        registry.set_alias(NAME, ALIAS, version.version, expected_version=now)
    except (AliasMoved, StorageError):
        return  # another was faster, or it is not known
    tell(moved=version.version, expected=now)


def points_at(registry: Registry) -> int:
    """Where the alias points; 0 for nowhere."""
    try:
        return registry.resolve(f"{NAME}@{ALIAS}").version
    except AliasNotFound:
        return 0


def insisting(call: Callable[[], Result]) -> Result:
    """Asks again as long as the storage says that it is worth it, for at most two minutes."""
    until = time.monotonic() + _INSISTS_S
    while True:
        try:
            return call()
        except StorageError as error:
            if error.retry_after_s is None or time.monotonic() > until:
                raise


def tell(**told: object) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def main() -> None:
    """Carries out one order."""
    order = WriterOrder(**json.loads(sys.argv[1]))
    folder = Path(order.folder)
    publication = small_publication(folder)
    registry = SharedRegistry(StorageAddress(order.index, order.blobs), cache=folder / "cache")

    def write(first: int) -> None:
        for number in range(first, first + order.count):
            write_once(registry, numbered_adapter(folder, number), publication, tell)

    firsts = range(order.first, order.first + order.threads * order.count, order.count)
    threads = [threading.Thread(target=write, args=(first,), daemon=True) for first in firsts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


if __name__ == "__main__":
    main()
