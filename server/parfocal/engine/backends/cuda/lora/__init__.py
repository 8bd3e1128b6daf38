"""LoRA on CUDA: pages, kernels, and linears grouped by input."""

from parfocal.engine.backends.cuda.lora.grouped_linear import GroupedLinear, group_linears
from parfocal.engine.backends.cuda.lora.guarded import GroupGuard, StepLora, Unguarded, by_kernels, by_torch
from parfocal.engine.backends.cuda.lora.page_store import PageStore, Room, StoreShape
from parfocal.engine.backends.cuda.lora.plain_lora import PlainLora
from parfocal.engine.backends.cuda.lora.step import SHORT, CudaLora, Tiles, padded, tile_rows, tiles_of
from parfocal.engine.backends.cuda.lora.trial import lora_trial

__all__ = [
    "SHORT",
    "CudaLora",
    "GroupGuard",
    "GroupedLinear",
    "PageStore",
    "PlainLora",
    "Room",
    "StepLora",
    "StoreShape",
    "Tiles",
    "Unguarded",
    "by_kernels",
    "by_torch",
    "group_linears",
    "lora_trial",
    "padded",
    "tile_rows",
    "tiles_of",
]
