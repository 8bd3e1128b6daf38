"""4-bit products give float64's numbers, a row's bits depend on no other row, and what fails is replaced."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from fakes.engine.four_bit import new_linear
from fakes.engine.killed_repack import loaded
from oracle.bases import configurations
from oracle.resident_training import train_steps, trainable_base, with_fresh_adapter
from parfocal.engine.backends.cuda.four_bit import (
    Blocked,
    BlockedLinear4bit,
    BlockedLinears,
    JoinedLinear4bit,
    Partials,
    SwitchedLinear4bit,
    Tiles,
    TritonProduct,
    Way,
    block,
    choose_products,
    dequantised,
    joined,
    nf4_levels,
    side_by_side,
    ways_for,
)
from parfocal.engine.backends.cuda.four_bit.levels import assembly_of, table_of
from parfocal.engine.backends.cuda.four_bit.product import tiles_for
from parfocal.engine.loading.held_bytes import held_bytes

TOLERANCES = {torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 1.2e-2}


def blocked(sizes: tuple[int, ...], inputs: int, dtype: torch.dtype, device: torch.device) -> Blocked:
    linears = [new_linear(dtype, bias=True, outputs=size, inputs=inputs) for size in sizes]
    return side_by_side([block(linear.to(device)) for linear in linears], device)


def rows_of(whole: Blocked, count: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(count)
    return torch.randn(count, whole.inputs, generator=draw).to(whole.codes.device, whole.dtype)


def exact(x: torch.Tensor, own: Blocked) -> torch.Tensor:
    codes = torch.cat([own.codes >> 4, own.codes & 15], 2).int()
    weight = (own.levels[codes].double() * own.scales.double()[:, :, None]).transpose(0, 1)
    assert own.bias is not None
    return x.double() @ weight.reshape(own.outputs, own.inputs).T + own.bias.double()


def check(ys: list[torch.Tensor], x: torch.Tensor, whole: Blocked) -> None:
    for index, y in enumerate(ys):
        right = exact(x, whole.part(index))
        off = float((y.double() - right).abs().max() / right.abs().max())
        assert off <= TOLERANCES[whole.dtype], off


def shapes() -> list[tuple[tuple[int, ...], int]]:
    """Every product of the seven architectures in small: outputs of each linear, and inputs."""
    found = set[tuple[tuple[int, ...], int]]()
    for config in configurations(layers=1).values():
        wide, tall = config.hidden_size, config.intermediate_size
        dim = getattr(config, "head_dim", None) or wide // config.num_attention_heads
        q, kv = config.num_attention_heads * dim, config.num_key_value_heads * dim
        if config.model_type == "phi3":
            found |= {((q + 2 * kv,), wide), ((2 * tall,), wide)}
        else:
            found |= {((q, kv, kv), wide), ((tall, tall), wide)}
        found |= {((wide,), q), ((wide,), tall)}
    return sorted(found)


@torch.inference_mode()
@pytest.mark.parametrize(("sizes", "inputs"), shapes())
def test_products_of_all_architectures_are_float64s(
    sizes: tuple[int, ...], inputs: int, device: torch.device
) -> None:
    whole = blocked(sizes, inputs, torch.float32, device)
    for rows in (1, 5):
        x = rows_of(whole, rows)
        check(TritonProduct(Way.LEVELS)(x, whole).summed(whole.dtype), x, whole)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("blocks", [1, 3, 4])
def test_products_of_sizes_that_fill_no_tile_are_float64s_in_every_way(
    dtype: torch.dtype, blocks: int, device: torch.device
) -> None:
    whole = blocked((70, 33, 1), 7 * 64, dtype, device)
    for way in ways_for(device, dtype):
        for rows in (1, 17, 65):
            x = rows_of(whole, rows)
            partials = TritonProduct(way, Tiles(32, blocks, 2))(x, whole)
            assert partials.parts.shape == (-(-7 // blocks), rows, 104)
            assert partials.parts.dtype is torch.float32
            check(partials.summed(dtype), x, whole)


@torch.inference_mode()
def test_partials_are_added_in_their_order_and_the_bias_last() -> None:
    parts = torch.tensor([1e8, 1.0, -1e8, 1.0]).view(4, 1, 1).expand(4, 3, 300).contiguous()
    bias = torch.full((300,), 0.25)
    ys = Partials(parts, bias, (257, 40, 3)).summed(torch.float32)

    assert [tuple(y.shape) for y in ys] == [(3, 257), (3, 40), (3, 3)]
    # The first 1 is lost beside 1e8, the second one is not: only in this order.
    assert all(bool((y == 1.25).all()) and y.is_contiguous() for y in ys)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_row_gets_the_same_bits_alone_and_at_any_place_among_64(
    dtype: torch.dtype, device: torch.device
) -> None:
    whole = blocked((70, 33), 5 * 64, dtype, device)
    rows = rows_of(whole, 64)
    for way in ways_for(device, dtype):
        product = TritonProduct(way, Tiles(64, 2, 2))
        together = product(rows, whole).parts
        for place in (0, 1, 15, 16, 31, 63):
            assert torch.equal(product(rows[place][None].contiguous(), whole).parts[:, 0], together[:, place])
        for count in (2, 16, 17, 33):
            assert torch.equal(product(rows[:count], whole).parts, together[:, :count])
        assert torch.equal(product(rows.flip(0).contiguous(), whole).parts.flip(1), together)


def test_tiles_give_every_multiprocessor_work_and_leave_no_part_empty() -> None:
    for outputs, inputs in ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336), (960, 576), (64, 64)):
        tiles, blocks = tiles_for(outputs, inputs // 64, torch.bfloat16), inputs // 64
        parts = -(-blocks // tiles.blocks)
        assert (parts - 1) * tiles.blocks < blocks <= parts * tiles.blocks
        if outputs >= 4096:
            assert 128 <= parts * -(-outputs // tiles.outputs) <= 400


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_our_dequantised_weight_is_torchs_bit_by_bit(dtype: torch.dtype, device: torch.device) -> None:
    whole = blocked((70, 33), 192, dtype, device)

    assert torch.equal(dequantised(whole), whole.dense())
    assert torch.equal(dequantised(whole.between(5, 77)), whole.dense()[5:77])


WORD = 0xFFFFFFFF


def run_ptx(assembly: str, word: int) -> list[int]:
    """Runs the few instructions that `assembly_of` writes: `$4` is the word; returns `$0` to `$3`."""
    names = {"$4": word}

    def value(text: str) -> int:
        return names[text] if text in names else int(text, 0)

    def prmt(low: int, high: int, picks: int) -> int:
        eight = low | high << 32
        chosen = [picks >> 4 * place & 15 for place in range(4)]
        assert all(pick < 8 for pick in chosen), "asks for a sign"
        return sum((eight >> 8 * pick & 255) << 8 * place for place, pick in enumerate(chosen))

    def lop3(a: int, b: int, c: int, table: int) -> int:
        found = 0
        for bit in range(32):
            index = (a >> bit & 1) << 2 | (b >> bit & 1) << 1 | c >> bit & 1
            found |= (table >> index & 1) << bit
        return found

    does: dict[str, Callable[..., int]] = {
        "and": lambda a, b: a & b,
        "shr": lambda a, b: a >> b,
        "prmt": prmt,
        "lop3": lop3,
    }
    for line in re.findall(r"^(and|shr|prmt|lop3)\.[bu]32 (.*);$", assembly, re.MULTILINE):
        target, *given = (part.strip() for part in line[1].split(","))
        if line[0] == "prmt":
            given[2] = str(value(given[2]) & 0xFFFF)
        names[target] = does[line[0]](*(value(part) for part in given)) & WORD
    return [names[f"${place}"] for place in range(4)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_assembly_gives_the_levels_of_all_256_bytes(dtype: torch.dtype) -> None:
    levels = nf4_levels()
    bits = (levels.to(dtype).view(torch.int16).int() & 0xFFFF).tolist()
    assembly = assembly_of(Way.PRMT, levels, dtype)
    for first in range(256):
        four = [first, 255 - first, first ^ 0x5A, (first * 7 + 3) % 256]
        found = run_ptx(assembly, sum(byte << 8 * place for place, byte in enumerate(four)))
        numbers = [word >> shift & 0xFFFF for word in found for shift in (0, 16)]
        assert numbers == [bits[byte >> 4] for byte in four] + [bits[byte & 15] for byte in four]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_table_gives_the_levels_of_all_256_bytes(dtype: torch.dtype) -> None:
    levels = nf4_levels()
    table = table_of(Way.PAIRS, levels, dtype)
    rounded = levels.to(dtype)
    upper = (table >> 16).to(torch.int16).view(dtype)
    lower = (table & 0xFFFF).to(torch.int16).view(dtype)

    assert torch.equal(upper, rounded.repeat_interleave(16))
    assert torch.equal(lower, rounded.repeat(16))


def test_gradients_pass_through_the_weights_that_serve(device: torch.device) -> None:
    whole = blocked((70, 33), 192, torch.float32, device)
    x = rows_of(whole, 5).requires_grad_()
    for index in range(2):
        linear = BlockedLinear4bit(whole, index)
        own = whole.part(index)
        right = functional.linear(x, own.dense(), own.bias)
        upstream = torch.randn(right.shape, generator=torch.Generator().manual_seed(index)).to(device)

        torch.testing.assert_close(linear(x), right)
        (found,) = torch.autograd.grad(linear(x), x, upstream)
        (expected,) = torch.autograd.grad(right, x, upstream)
        torch.testing.assert_close(found, expected)
        assert not list(linear.parameters())


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


def model_of(device: torch.device) -> nn.ModuleDict:
    linears = {name: new_linear(outputs=64).to(device) for name in (*SIBLINGS, "o_proj")}
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
    x = torch.randn(1, 3, 128, generator=torch.Generator().manual_seed(6)).to(device)
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
            x = torch.randn(3, 128).to(device)
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
    model["q_proj"](torch.randn(3, 128).to(device))

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


def test_an_adapter_learns_through_the_blocks_that_serve(llama_base: Path) -> None:
    resident = loaded(llama_base, None)
    held = held_bytes(resident.model)
    model = trainable_base(resident, llama_base)
    rows = torch.randint(256, (2, 12), generator=torch.Generator().manual_seed(0))
    steps = train_steps(with_fresh_adapter(model, rank=4), rows, steps=5, rate=1e-2)

    assert steps[-1].loss < steps[0].loss - 0.2
    assert held_bytes(resident.model) == held
