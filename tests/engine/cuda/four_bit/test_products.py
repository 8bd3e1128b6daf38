"""4-bit products give float64's numbers, and a row's bits depend on no other row."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from fakes.engine.four_bit import new_linear
from fakes.engine.killed_repack import loaded
from oracle.bases import configurations
from oracle.resident_training import train_steps, trainable_base, with_fresh_adapter
from parfocal.engine.backends.cuda.four_bit import (
    Blocked,
    BlockedLinear4bit,
    Partials,
    Product,
    Tiles,
    TritonProduct,
    Way,
    block,
    dequantised,
    nf4_levels,
    side_by_side,
    ways_for,
)
from parfocal.engine.backends.cuda.four_bit.compiled import compiled_products
from parfocal.engine.backends.cuda.four_bit.compiled.cutting import share_of
from parfocal.engine.backends.cuda.four_bit.levels import assembly_of, table_of
from parfocal.engine.backends.cuda.four_bit.product import tiles_for, tiles_of
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
@pytest.mark.parametrize(("dtype", "blocks"), [*((dtype, 3) for dtype in TOLERANCES), (torch.float32, 1)])
def test_products_of_sizes_that_fill_no_tile_are_float64s_in_every_way(
    dtype: torch.dtype, blocks: int, device: torch.device
) -> None:
    whole = blocked((70, 33, 1), 4 * 64, dtype, device)
    for way in ways_for(device, dtype):
        for rows in (1, 17, 65):
            x = rows_of(whole, rows)
            partials = TritonProduct(way, Tiles(64, blocks, 2))(x, whole)
            assert partials.parts.shape == (-(-4 // blocks), rows, 104)
            assert partials.parts.dtype is torch.float32
            check(partials.summed(dtype), x, whole)


def check_each_part(partials: Partials, x: torch.Tensor, whole: Blocked, blocks: int) -> None:
    """Checks every partial sum beside float64's product of the blocks that are its own."""
    levels = whole.levels.to(whole.dtype).double()
    codes = torch.cat([whole.codes >> 4, whole.codes & 15], 2).int()
    shares = x.double().view(len(x), -1, 64).transpose(0, 1)
    for number, part in enumerate(partials.parts):
        own = slice(number * blocks, (number + 1) * blocks)
        weight = levels[codes[own]] * whole.scales[own].double()[:, :, None]
        right = torch.einsum("bri,boi->ro", shares[own], weight)
        off = float((part.double() - right).abs().max() / right.abs().max())
        assert off <= 2e-5, (number, off)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_each_partial_sum_is_that_of_its_own_blocks(dtype: torch.dtype, device: torch.device) -> None:
    whole = blocked((70, 33), 5 * 64, dtype, device)
    for way in ways_for(device, dtype):
        for rows in (1, 17):
            x = rows_of(whole, rows)
            check_each_part(TritonProduct(way, Tiles(64, 2, 2))(x, whole), x, whole, blocks=2)


@pytest.mark.gpu
@torch.inference_mode()
@pytest.mark.parametrize(("outputs", "inputs"), [(6144, 4096), (4096, 14336)], ids=["qkv", "down"])
def test_each_partial_sum_of_an_8b_bases_products_is_that_of_its_own_blocks(
    outputs: int, inputs: int, device: torch.device
) -> None:
    """On a card, by every product of ours: the interpreter would take hours."""
    whole, dtype = blocked((outputs,), inputs, torch.bfloat16, device), torch.bfloat16
    count = inputs // 64
    tried: list[tuple[Product, int]] = [
        (product, share_of(outputs, count)) for product in compiled_products(device, dtype)
    ]
    tried += [(TritonProduct(way), tiles_of(whole).blocks) for way in ways_for(device, dtype)]
    for product, share in tried:
        for rows in (1, 16, 64):
            x = rows_of(whole, rows)
            check_each_part(product(x, whole), x, whole, share)


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
    whole = blocked((70, 33), 3 * 64, dtype, device)
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


def test_an_adapter_learns_through_the_blocks_that_serve(llama_base: Path) -> None:
    resident = loaded(llama_base, None)
    held = held_bytes(resident.model)
    model = trainable_base(resident, llama_base)
    rows = torch.randint(256, (2, 12), generator=torch.Generator().manual_seed(0))
    steps = train_steps(with_fresh_adapter(model, rank=4), rows, steps=5, rate=1e-2)

    assert steps[-1].loss < steps[0].loss - 0.2
    assert held_bytes(resident.model) == held
