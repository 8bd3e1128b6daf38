"""Makes a workload's adapters and publishes them, so that the server under test finds them as any other's."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from parfocal.registry import FolderRegistry, Publication, describe_base, locate_base

from .random_adapters import write_adapter
from .workload import Workload


def publish_adapters(
    workload: Workload, base: Path, registry: FolderRegistry, scratch: Path, published: Callable[[], None]
) -> Mapping[str, Path]:
    """Returns each adapter's folder in the registry, by the name that requests use.

    `scratch` holds one adapter at a time; `published` is called after each. The folders are what the server
    reads too, so whoever else is measured gets the same bytes.
    """
    publication = Publication(base=describe_base(locate_base(str(base), weights=False)))
    shape = workload.sizes()
    folders = {}
    for seed, name in enumerate(workload.adapter_names()):
        draft = write_adapter(shape, workload.rank_of(seed), scratch / "draft", workload.seed + seed)
        version = registry.publish(name, draft, publication)
        shutil.rmtree(draft)
        folders[name] = registry.materialise(version.digest)
        published()
    return folders
