"""A small task on which the LoRA kernels must agree with plain torch, on the serving card."""

import torch

from parfocal.engine.backends.cuda.fallback import TOLERANCES, Trial
from parfocal.engine.backends.cuda.lora.guarded import GroupGuard, StepLora
from parfocal.engine.backends.cuda.lora.page_store import PageStore, Room, StoreShape
from parfocal.engine.backends.cuda.lora.plain_lora import PlainLora
from parfocal.engine.backends.cuda.lora.step import CudaLora, tiles_of
from parfocal.engine.backends.cuda.sending import each_by_itself
from parfocal.engine.lora import LoraWeights, ModuleWeights, PlainCopies
from parfocal.engine.scheduling import Segment

_INPUTS, _OUTPUTS = 256, (192, 64, 64)
_PATHS = ("q_proj", "k_proj", "v_proj")
_RANKS = (3, 16, 40)


def lora_trial(
    dtype: torch.dtype, adapter_dtype: torch.dtype, device: torch.device
) -> Trial[GroupGuard | None]:
    """The task: adapters of several ranks in short tiles, then in long ones. None is plain torch."""
    shapes = {path: (_INPUTS, outputs) for path, outputs in zip(_PATHS, _OUTPUTS, strict=True)}
    shape = StoreShape(shapes, adapter_dtype, max(_RANKS), device)
    room = Room(len(_RANKS), len(_RANKS) * shape.most_pages * shape.page_bytes)
    store = PageStore(list(shapes), shape, room, PlainCopies())
    places = [store.copy_in(store.lay_out(_adapter(rank, shapes, store.read_dtype))) for rank in _RANKS]
    draw = torch.Generator().manual_seed(0)

    def run(guard: GroupGuard | None) -> torch.Tensor:
        found = []
        for tokens in (1, 70):
            segments = [Segment(place, n * tokens, (n + 1) * tokens) for n, place in enumerate(places)]
            draw.manual_seed(tokens)
            x = torch.randn(len(places) * tokens, _INPUTS, generator=draw).to(device, dtype)
            ys = [torch.zeros(len(x), outputs, dtype=dtype, device=device) for outputs in _OUTPUTS]
            plain = PlainLora(store, segments)
            if guard is None:
                plain.add_to_group(ys, x, _PATHS)
            else:
                kernels = CudaLora(store, tiles_of(segments, each_by_itself(device)), max(_RANKS))
                StepLora(kernels, plain, guard).add_to_group(ys, x, _PATHS)
            found += [y.flatten() for y in ys]
        return torch.cat(found)

    return Trial(run, TOLERANCES[dtype])


def _adapter(rank: int, shapes: dict[str, tuple[int, int]], dtype: torch.dtype) -> LoraWeights:
    draw = torch.Generator().manual_seed(rank)
    modules = {
        path: ModuleWeights(
            (torch.randn(rank, wide, generator=draw) / wide**0.5).to(dtype),
            torch.randn(tall, rank, generator=draw).to(dtype),
        )
        for path, (wide, tall) in shapes.items()
    }
    return LoraWeights(f"trial-{rank}", modules)
