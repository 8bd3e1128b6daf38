"""Linears of the base that share an input, so that one launch adds the step's adapters to all of them.

transformers calls them one by one on the same tensor. The first call computes all; the others return what it
left for them.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from parfocal.engine.backends.cuda.groups import Group
from parfocal.engine.lora import ActiveAdapters, AdaptedLinear

# Returns what computes linears on the same input as one product, as a list of outputs; None if nothing does.
Join = Callable[[Sequence[nn.Module]], nn.Module | None]


class LinearGroup:
    """The linears of a group, and the outputs ready for those not called yet.

    `joined` computes all of them as one product, where something does.
    """

    def __init__(
        self, linears: Sequence[nn.Module], joined: nn.Module | None, paths: Group, active: ActiveAdapters
    ) -> None:
        self.linears = linears
        self.joined = joined
        self.paths = paths
        self._active = active
        self._x: torch.Tensor | None = None
        self._waiting: dict[int, torch.Tensor] = {}

    def output(self, index: int, x: torch.Tensor) -> torch.Tensor:
        """One linear's output `[…, tokens, out]` for `x` `[…, tokens, in]`.

        A linear called on another tensor than the first, or twice, starts a new computation.
        """
        if x is not self._x or index not in self._waiting:
            self._waiting = dict(enumerate(self._computed(x)))
            self._x = x
        answer = self._waiting.pop(index)
        if not self._waiting:
            self._x = None
        return answer

    @property
    def computing(self) -> Sequence[nn.Module]:
        """The modules that compute the base's part."""
        return self.linears if self.joined is None else [self.joined]

    def _computed(self, x: torch.Tensor) -> list[torch.Tensor]:
        joined = self.joined
        ys = [linear(x) for linear in self.linears] if joined is None else joined(x)
        if self._active.work is not None:
            self._active.work.add_to_group(ys, x, self.paths)
        return ys


class GroupedLinear(nn.Module):
    """One linear of a group, where the model looks for it."""

    def __init__(self, base: nn.Module, group: LinearGroup, index: int) -> None:
        super().__init__()
        self.base = base
        self.group = group
        self._index = index

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[…, tokens, out]` for `x` `[…, tokens, in]`."""
        return self.group.output(self._index, x)


def never_joined(linears: Sequence[nn.Module]) -> None:
    """Leaves every linear to itself."""


def group_linears(
    model: nn.Module, groups: Sequence[Group], active: ActiveAdapters, join: Join = never_joined
) -> None:
    """Replaces the linears named in `groups` by grouped ones, in place."""
    for paths in groups:
        linears = [_bare(model.get_submodule(path)) for path in paths]
        group = LinearGroup(linears, join(linears), paths, active)
        for index, (path, linear) in enumerate(zip(paths, linears, strict=True)):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, GroupedLinear(linear, group, index))


def _bare(linear: nn.Module) -> nn.Module:
    """The base's own linear, without its LoRA wrapper."""
    return linear.base if isinstance(linear, AdaptedLinear | GroupedLinear) else linear
