"""A base, an adapter of it that PEFT wrote, and what a registry made of that: what exports are tried on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from parfocal.registry import FolderRegistry, Publication, Version, describe_base, locate_base
from parfocal.server.exports import Adapted, adapted_base


@dataclass(frozen=True)
class Pair:
    """A base's folder, a PEFT adapter of it, and what the adapter is in a registry."""

    base: Path
    adapter: Path
    version: Version
    published: Path

    @property
    def adapted(self) -> Adapted:
        """Both as they are exported."""
        return adapted_base(self.version, self.published, locate_base(str(self.base), weights=True))

    def peft(self, dtype: torch.dtype = torch.float32) -> Any:
        """The base with the adapter as PEFT has it."""
        model = AutoModelForCausalLM.from_pretrained(self.base, dtype=dtype)
        return PeftModel.from_pretrained(model, str(self.adapter)).eval()


Make = Callable[..., Pair]


def published(folder: Path, base: Path, adapter: Path, unverified: bool = False) -> Pair:
    """The pair, once a registry in `folder` has the adapter."""
    registry = FolderRegistry(folder / "registry")
    seen = None if unverified else describe_base(locate_base(str(base), weights=True))
    version = registry.publish("team/x", adapter, Publication(seen, unverified_base=unverified))
    return Pair(base, adapter, version, registry.materialise(version.digest))
