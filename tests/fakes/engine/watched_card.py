"""A card that computes nothing: its tensors have no values, and what makes the caller wait is noted."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

CARD = torch.device("meta")
_READ = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "item")


@dataclass
class Noted:
    """For what CUDA lets its caller wait, and how many copies were made at all."""

    waits: list[str] = field(default_factory=list)
    copies: int = 0


class _Made(TorchFunctionMode):
    """Notes tensors made of Python's values on the card."""

    def __init__(self, noted: Noted) -> None:
        super().__init__()
        self._noted = noted

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Notes an operation and lets it happen."""
        named = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and named.get("device") == CARD:
            self._noted.waits.append(func.__name__)
        return func(*args, **named)


class _Done(TorchDispatchMode):
    """Notes copies and readings."""

    def __init__(self, noted: Noted) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._noted = noted
        self._pinned: list[torch.Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Notes an operation and lets it happen."""
        name, named = func.overloadpacket.__name__, kwargs or {}
        if name == "_pin_memory":
            self._pinned.append(args[0].clone())
            return self._pinned[-1]
        if name == "empty" and named.pop("pin_memory", False):
            self._pinned.append(func(*args, **named))
            return self._pinned[-1]
        if name == "copy_" and args[1].device == CARD != args[0].device:
            # There are no values to copy.
            self._copied(args[1], args[0], is_queued=args[2:] == (True,))
            return args[0]
        result = func(*args, **named)
        if name in _READ:
            self._noted.waits.append(name)
        if name == "_to_copy":
            self._copied(args[0], result, is_queued=bool(named.get("non_blocking")))
        if name == "copy_":
            self._copied(args[1], args[0], is_queued=args[2:] == (True,))
        return result

    def _copied(self, source: torch.Tensor, target: torch.Tensor, *, is_queued: bool) -> None:
        if source.device == target.device:
            return
        self._noted.copies += 1
        memory = (target if source.device == CARD else source).untyped_storage().data_ptr()
        is_pinned = any(memory == one.untyped_storage().data_ptr() for one in self._pinned)
        if not (is_pinned and is_queued):
            self._noted.waits.append(f"copy of {tuple(source.shape)}")


@contextmanager
def watched_card() -> Iterator[Noted]:
    """What is noted while the scope lasts, of tensors on `CARD`."""
    noted = Noted()
    with _Made(noted), _Done(noted):
        yield noted
