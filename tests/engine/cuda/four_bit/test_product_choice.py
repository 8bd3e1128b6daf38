"""The choice of what multiplies 4-bit weights: the fastest that is right; what fails is replaced."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fakes.engine.four_bit import new_linear
from parfocal.engine.backends.cuda.four_bit import (
    Blocked,
    BlockedLinear4bit,
    BlockedLinears,
    JoinedLinear4bit,
    Partials,
    SwitchedLinear4bit,
    TritonProduct,
    Way,
    choose_products,
    joined,
    nf4_levels,
)


class Same:
    """A clock on which everything takes as long."""

    def seconds(self, work: Callable[[], object]) -> float:
        return 1.0


class Wrong(TritonProduct):
    """A product with a sum that is off."""

    def __init__(self) -> None:
        super().__init__(Way.LEVELS)
        self.name = "wrong"

    def __call__(self, x: torch.Tensor, weights: Blocked) -> Partials:
        right = super().__call__(x, weights)
        right.parts[0, -1] += 1.0
        return right


class Breaks(TritonProduct):
    """A product that breaks after so many calls."""

    def __init__(self, after: int) -> None:
        super().__init__(Way.LEVELS)
        self.name, self._left = "breaks", after

    def __call__(self, x: torch.Tensor, weights: Blocked) -> Partials:
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("ptxas failed with error code 255")
        return super().__call__(x, weights)


SIBLINGS = ("q_proj", "k_proj", "v_proj")
INPUTS = 64


def model_of(device: torch.device) -> nn.ModuleDict:
    linears = {name: new_linear(outputs=32, inputs=INPUTS).to(device) for name in (*SIBLINGS, "o_proj")}
    return nn.ModuleDict(linears)


def siblings(model: nn.ModuleDict) -> list[nn.Module]:
    return [model.get_submodule(name) for name in SIBLINGS]


def chosen(
    device: torch.device, candidates: list[TritonProduct] | None
) -> tuple[nn.ModuleDict, nn.ModuleDict, list[str]]:
    plain, model, told = model_of(device), model_of(device), list[str]()
    BlockedLinears().pack(model)
    choose_products(model, 4, Same, lambda kernel, reason: told.append(kernel), candidates)
    return plain, model, told


def answers(model: nn.ModuleDict, device: torch.device) -> list[torch.Tensor]:
    x = torch.randn(1, 3, INPUTS, generator=torch.Generator().manual_seed(6)).to(device)
    together = joined(siblings(model))
    first = together(x) if together else [linear(x) for linear in siblings(model)]
    return [*first, model["o_proj"](x)]


def check_answers(plain: nn.ModuleDict, model: nn.ModuleDict, device: torch.device) -> None:
    for found, right in zip(answers(model, device), answers(plain, device), strict=True):
        torch.testing.assert_close(found, right)


@torch.inference_mode()
def test_what_is_right_and_no_slower_serves(device: torch.device) -> None:
    plain, model, told = chosen(device, None)

    assert told == []
    assert all(isinstance(module, BlockedLinear4bit) and module.serving for module in model.values())
    assert isinstance(joined(siblings(model)), JoinedLinear4bit)
    assert joined(siblings(model)[:2]) is None
    check_answers(plain, model, device)


@torch.inference_mode()
def test_a_product_that_is_wrong_or_breaks_gives_way_to_the_next(
    device: torch.device, caplog: pytest.LogCaptureFixture
) -> None:
    plain, model, told = chosen(device, [Wrong(), Breaks(0), TritonProduct(Way.LEVELS)])

    assert told == ["products_wrong", "products_breaks"]
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 2
    serving = [module.serving for module in model.values() if isinstance(module, BlockedLinear4bit)]
    assert [one.product.name for one in serving if one] == ["levels"] * 4
    check_answers(plain, model, device)


@torch.inference_mode()
def test_where_no_product_is_right_bitsandbytes_gets_its_linears_back(device: torch.device) -> None:
    plain, model, told = chosen(device, [Wrong()])

    assert told == ["products_wrong"]
    assert all(isinstance(module, SwitchedLinear4bit) for module in model.values())
    check_answers(plain, model, device)


class Ours(Same):
    """A clock on which our products, tried first, take twice as long."""

    def __init__(self, slow: int) -> None:
        self._slow = slow

    def seconds(self, work: Callable[[], object]) -> float:
        self._slow -= 1
        return 2.0 if self._slow >= 0 else 0.1


@torch.inference_mode()
def test_where_bitsandbytes_is_faster_it_serves_and_nothing_is_reported(device: torch.device) -> None:
    plain, model, told = model_of(device), model_of(device), list[str]()
    BlockedLinears().pack(model)
    candidates = [TritonProduct(Way.LEVELS)]
    choose_products(model, 4, lambda: Ours(2 * 4 * 5), lambda kernel, reason: told.append(kernel), candidates)

    assert told == []
    assert all(isinstance(module, SwitchedLinear4bit) for module in model.values())
    check_answers(plain, model, device)


@torch.inference_mode()
def test_a_product_that_fails_while_serving_is_replaced_once_and_for_all(
    device: torch.device, caplog: pytest.LogCaptureFixture
) -> None:
    tried = 2 * 5 + 2 * 4 * 1 + 2 * 1
    plain, model, told = chosen(device, [Breaks(tried)])
    for _ in range(2):
        for name in ("q_proj", "o_proj"):
            x = torch.randn(3, INPUTS).to(device)
            torch.testing.assert_close(model[name](x), plain[name](x))

    assert told == ["linears"]
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


@torch.inference_mode()
def test_what_serves_is_chosen_once_and_tells_the_latest_observer(device: torch.device) -> None:
    class Never(Same):
        def __init__(self) -> None:
            raise AssertionError("chosen again")

    tried = 2 * 5 + 2 * 4 * 1 + 2 * 1
    _, model, told = chosen(device, [Breaks(tried)])
    later = list[str]()
    choose_products(model, 4, Never, lambda kernel, reason: later.append(kernel), [Wrong()])
    assert (told, later) == ([], [])
    model["q_proj"](torch.randn(3, INPUTS).to(device))

    assert (told, later) == ([], ["linears"])


class Full(Same):
    """A clock that finds no memory so many times."""

    def __init__(self, times: int) -> None:
        self._left = times

    def seconds(self, work: Callable[[], object]) -> float:
        self._left -= 1
        if self._left >= 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 896.00 MiB")
        return 1.0


@torch.inference_mode()
@pytest.mark.parametrize(("times", "names"), [(1, []), (2, ["products"])])
def test_a_trial_that_finds_no_memory_twice_leaves_the_linears_to_bitsandbytes(
    times: int, names: list[str], device: torch.device, caplog: pytest.LogCaptureFixture
) -> None:
    plain, model, told = model_of(device), model_of(device), list[str]()
    BlockedLinears().pack(model)
    full = Full(times)
    choose_products(model, 4, lambda: full, lambda kernel, reason: told.append(kernel))

    assert told == names
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == len(names)
    kind = SwitchedLinear4bit if names else BlockedLinear4bit
    assert all(isinstance(module, kind) for module in model.values())
    check_answers(plain, model, device)


class Largest(TorchDispatchMode):
    """The bytes of the largest tensor that an operation returns."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor):
            self.most = max(self.most, found.nbytes)
        return found


@torch.inference_mode()
def test_what_products_are_compared_with_takes_little_memory_however_large_the_weight(
    device: torch.device,
) -> None:
    outputs, inputs = 2048, 2048
    whole = Blocked(
        torch.zeros(inputs // 64, outputs, 32, dtype=torch.uint8, device=device),
        torch.ones(inputs // 64, outputs, device=device),
        nf4_levels().to(device),
        None,
        (outputs,),
        torch.float32,
    )
    model = nn.ModuleDict({"up_proj": BlockedLinear4bit(whole, 0)})
    largest = Largest()
    with largest, pytest.raises(Compared):
        choose_products(model, 4, Same, lambda *_: None, [Refuses()])

    # A whole dense weight takes 16 MiB.
    assert largest.most <= 14 << 20


class Compared(Exception):
    """The reference is there, and it is the product's turn."""


class Refuses(TritonProduct):
    """A product by a programmer's mistake, which ends the choice."""

    def __init__(self) -> None:
        super().__init__(Way.LEVELS)

    def __call__(self, x: torch.Tensor, weights: Blocked) -> Partials:
        raise Compared
