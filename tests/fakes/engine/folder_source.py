"""Adapters from PEFT folders for an engine without a registry, as publishing them would describe them."""

from collections.abc import Mapping
from pathlib import Path

from parfocal.engine import AdapterFolder, AdapterKey, RankAndScale
from parfocal.registry import read_peft_folder


class FolderSource:
    """Adapters by digest."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self.folders = folders

    def folder(self, adapter: AdapterKey) -> AdapterFolder:
        """Returns the adapter's folder."""
        return described(self.folders[adapter.digest])


def described(path: Path) -> AdapterFolder:
    """Returns a PEFT folder with the ranks and scales that its manifest would have."""
    read = read_peft_folder(path)
    targets = [module.target for module in read.modules]
    rslora = read.config.use_rslora
    return AdapterFolder(path, {t.path: RankAndScale(t.rank, t.scale(rslora)) for t in targets})
