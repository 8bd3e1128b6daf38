"""Blocked linears in a model: made once, product by product, and cached in that form."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.nn.modules import Linear4bit
from torch import nn

from parfocal.engine.backends.cuda import groups
from parfocal.engine.backends.cuda.four_bit import blocked
from parfocal.engine.backends.cuda.four_bit.blocked import Blocked, block, can_block, side_by_side, unblocked
from parfocal.engine.backends.cuda.four_bit.linears import BlockedLinear4bit
from parfocal.engine.backends.cuda.groups import Group, groups_of
from parfocal.engine.model import Kept, put

_HOST = torch.device("cpu")
_DTYPES = {str(dtype): dtype for dtype in (torch.float32, torch.float16, torch.bfloat16)}


class BlockedLinears:
    """4-bit linears in blocks, those that share an input joined."""

    @property
    def facts(self) -> Mapping[str, object]:
        """How weights are blocked and joined: the sources that say so."""
        sources = (Path(str(module.__file__)).read_bytes() for module in (blocked, groups))
        return {"blocked": sha256(b"".join(sources)).hexdigest()}

    def pack(self, model: nn.Module) -> None:
        """Replaces in place every linear that can be blocked.

        A linear's old weight is freed before the next one's is read: the device never holds both forms of
        more than one. Those that are joined wait in the host's memory for their siblings. So nothing here
        holds a module for longer than its own turn, and one that is not packed for an error is gone.
        """
        for paths in groups_of(_shapes(model)):
            _pack_group(model, paths)

    def keep(self, module: nn.Module) -> Kept | None:
        """A blocked linear as tensors, which it shares with its siblings; None for any other module."""
        if not isinstance(module, BlockedLinear4bit):
            return None
        whole = module.whole
        notes = {"sizes": list(whole.sizes), "index": module.index, "dtype": str(whole.dtype)}
        return Kept(notes, module.kept)

    def make(self, kept: Kept) -> nn.Module:
        """The module that `kept` describes."""
        notes, parts = kept.notes, kept.tensors
        tensors: dict[str, Any] = {name: parts[name] for name in ("codes", "scales", "levels")}
        whole = Blocked(
            **tensors, bias=parts.get("bias"), sizes=tuple(notes["sizes"]), dtype=_DTYPES[notes["dtype"]]
        )
        return BlockedLinear4bit(whole, notes["index"])


@torch.inference_mode()
def unpack(model: nn.Module) -> None:
    """Gives bitsandbytes its linears back, in place, one by one."""
    paths = [path for path, module in model.named_modules() if isinstance(module, BlockedLinear4bit)]
    for path in paths:
        module = model.get_submodule(path)
        assert isinstance(module, BlockedLinear4bit)
        put(model, path, unblocked(module.own))


def _shapes(model: nn.Module) -> dict[str, tuple[int, int]]:
    return {
        path: (module.in_features, module.out_features)
        for path, module in model.named_modules()
        if isinstance(module, Linear4bit) and can_block(module)
    }


def _pack_group(model: nn.Module, paths: Group) -> None:
    if len(paths) == 1:
        put(model, paths[0], BlockedLinear4bit(block(_taken(model, paths[0])), 0))
        return
    device = next(model.get_submodule(paths[0]).parameters()).device
    # Joined memory is in one piece: where it takes the place of all the old weights, those have to leave.
    aside = [block(_taken(model, path)).to(_HOST) for path in paths]
    whole = side_by_side(aside, device)
    for index, path in enumerate(paths):
        put(model, path, BlockedLinear4bit(whole, index))


def _taken(model: nn.Module, path: str) -> Linear4bit:
    """The linear at a path, which the model holds no more."""
    linear = model.get_submodule(path)
    assert isinstance(linear, Linear4bit)
    put(model, path, nn.Identity())
    # bitsandbytes lets a weight hold its linear, so that neither would be freed at once.
    weight: Any = linear.weight
    weight.module = None
    return linear
