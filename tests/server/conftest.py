"""A loaded base for the end-to-end tests, small and random, with a registry of adapters.

What loads torch is imported where it is used: few of these tests need it.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from parfocal.registry import FolderRegistry, Publication, describe_base, locate_base
from parfocal.server.settings.config import ServeConfig

if TYPE_CHECKING:
    from parfocal.server.assembly import Loaded


@pytest.fixture(scope="session")
def served_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small random Llama."""
    from oracle.bases import configurations, write_base

    return write_base(tmp_path_factory.mktemp("served") / "llama", configurations()["llama"])


@pytest.fixture(scope="session")
def served_registry(served_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry: two versions of team/invoices, prod at the first, and two misfits."""
    from oracle.peft_oracle import AdapterShape, write_adapter

    folder = tmp_path_factory.mktemp("registry")
    registry = FolderRegistry(folder / "registry")
    contract = describe_base(locate_base(str(served_base), weights=False))
    for seed in (1, 2):
        adapter = write_adapter(folder / f"invoices-{seed}", served_base, AdapterShape(rank=4), seed)
        registry.publish("team/invoices", adapter, Publication(contract))
    registry.set_alias("team/invoices", "prod", 1)
    _publish_misfits(registry, folder, served_base)
    return folder / "registry"


def _publish_misfits(registry: FolderRegistry, folder: Path, base: Path) -> None:
    """Publishes team/stranger, made for another base, and team/blind, whose shapes nobody could check."""
    from oracle.bases import configurations, write_base
    from oracle.peft_oracle import AdapterShape, write_adapter

    wide = configurations()["llama"]
    wide.hidden_size, wide.intermediate_size = 256, 384
    other = write_base(folder / "other" / "llama", wide)
    adapter = write_adapter(folder / "stranger", other, AdapterShape(rank=4), seed=3)
    contract = describe_base(locate_base(str(other), weights=False))
    registry.publish("team/stranger", adapter, Publication(contract))
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base.name
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    registry.publish("team/blind", adapter, Publication(unverified_base=True))


@pytest.fixture(scope="session")
def loaded(served_base: Path, served_registry: Path) -> "Loaded":
    """The base in memory, ready to be served any number of times."""
    from parfocal.server.assembly import load

    return load(
        ServeConfig(
            base=str(served_base),
            registry=str(served_registry),
            grpc_address="127.0.0.1:0",
            http_address="127.0.0.1:0",
            metrics_address="127.0.0.1:0",
            dtype="float32",
            slots=2,
            max_requests=8,
            kv_cache_bytes=8 << 20,
        )
    )
