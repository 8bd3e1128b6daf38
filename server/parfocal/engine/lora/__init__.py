"""An adapter's matrices: read and checked, laid out, stored in slabs, applied beside the base."""

from parfocal.engine.lora.adapted_linear import ActiveAdapters, AdaptedLinear, adapt_linears
from parfocal.engine.lora.adapter_files import LoraWeights, ModuleWeights
from parfocal.engine.lora.batch import LoraBatch, LoraWork
from parfocal.engine.lora.copies import Copies, PlainCopies
from parfocal.engine.lora.layout import rounded
from parfocal.engine.lora.loader import AdapterLoader, AdapterSource, AdapterStore
from parfocal.engine.lora.store import (
    ADAPTER_DTYPES,
    SLAB_SLOTS,
    AdapterPair,
    LoraStore,
    Slab,
    adapter_bytes_at_worst,
    slab_sizes,
)

__all__ = [
    "ADAPTER_DTYPES",
    "SLAB_SLOTS",
    "ActiveAdapters",
    "AdaptedLinear",
    "AdapterLoader",
    "AdapterPair",
    "AdapterSource",
    "AdapterStore",
    "Copies",
    "LoraBatch",
    "LoraStore",
    "LoraWeights",
    "LoraWork",
    "ModuleWeights",
    "PlainCopies",
    "Slab",
    "adapt_linears",
    "adapter_bytes_at_worst",
    "rounded",
    "slab_sizes",
]
