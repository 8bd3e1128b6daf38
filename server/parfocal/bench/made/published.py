"""Makes a workload's adapters and publishes them, so that the server under test finds them as any other's."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from parfocal.bench.made.adapters import write_adapter
from parfocal.bench.workloads import Workload
from parfocal.registry import AdapterNotFound, FolderRegistry, Publication, describe_base, locate_base

# Publishing small adapters waits for the disk; large ones are drawn and hashed, without Python's lock.
_THREADS = max(4, os.cpu_count() or 1)
# Raise it when other adapters are written for the same workload, so that no older ones are taken.
_FORMAT = 1


def registry_folder(workload: Workload, base: Path, cache: Path) -> Path:
    """Where the workload's adapters are kept; more of the same kind are added to those there are."""
    kind = repr((base.name, workload.ranks or (workload.rank,), workload.seed, _FORMAT))
    return cache / f"adapters-{workload.shape}-{sha256(kind.encode()).hexdigest()[:12]}"


def publish_adapters(
    workload: Workload, base: Path, registry: FolderRegistry, published: Callable[[], None]
) -> None:
    """Publishes the adapters that the registry has not yet, under the names that requests use.

    `published` is called for each.
    """
    publication = Publication(base=describe_base(locate_base(str(base), weights=False)))
    with tempfile.TemporaryDirectory(prefix="parfocal-bench-") as scratch:

        def publish(number: int, name: str) -> None:
            if not _has(registry, name):
                folder = Path(scratch) / str(number)
                rank = workload.rank_of(number)
                draft = write_adapter(workload.sizes(), rank, folder, workload.seed + number)
                registry.publish(name, draft, publication)
                shutil.rmtree(draft)

        with ThreadPoolExecutor(_THREADS) as threads:
            for _ in threads.map(publish, range(workload.adapters), workload.adapter_names()):
                published()


def adapter_folders(workload: Workload, registry: FolderRegistry) -> Mapping[str, Path]:
    """Each adapter's folder, by name: the bytes that the server reads are everybody's."""
    names = workload.adapter_names()
    return {name: registry.materialise(registry.resolve(name).digest) for name in names}


def _has(registry: FolderRegistry, name: str) -> bool:
    try:
        registry.resolve(name)
    except AdapterNotFound:
        return False
    return True
