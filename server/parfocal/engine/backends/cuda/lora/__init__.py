"""LoRA on CUDA: pages, kernels, and linears grouped by input."""

from parfocal.engine.backends.cuda.lora.grouped_linear import GroupedLinear, LinearGroup, group_linears
from parfocal.engine.backends.cuda.lora.guarded import GroupGuard, StepLora, Unguarded, by_kernels, by_torch
from parfocal.engine.backends.cuda.lora.kernels import expanded_row, shrink_tile
from parfocal.engine.backends.cuda.lora.page_store import PageStore, Room, StoreShape
from parfocal.engine.backends.cuda.lora.plain_lora import PlainLora
from parfocal.engine.backends.cuda.lora.step import (
    SHORT,
    Adapters,
    CudaLora,
    ShrinkLaunch,
    Shrunk,
    Tiles,
    is_shared,
    padded,
    place_of,
    places_of,
    tile_rows,
    tiles_of,
)
from parfocal.engine.backends.cuda.lora.trial import lora_trial

__all__ = [
    "SHORT",
    "Adapters",
    "CudaLora",
    "GroupGuard",
    "GroupedLinear",
    "LinearGroup",
    "PageStore",
    "PlainLora",
    "Room",
    "ShrinkLaunch",
    "Shrunk",
    "StepLora",
    "StoreShape",
    "Tiles",
    "Unguarded",
    "by_kernels",
    "by_torch",
    "expanded_row",
    "group_linears",
    "is_shared",
    "lora_trial",
    "padded",
    "place_of",
    "places_of",
    "shrink_tile",
    "tile_rows",
    "tiles_of",
]
