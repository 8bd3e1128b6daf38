"""Products in CUDA C++ give float64's numbers, and a row's bits depend on no other row."""

import ctypes
from collections.abc import Callable, Iterator

import pytest
import torch

from fakes.engine.emulated_card.card import ADA, AMPERE, HOPPER, EmulatedCard
from oracle.bases import configurations
from parfocal.engine.backends.cuda.four_bit import Blocked, nf4_levels
from parfocal.engine.backends.cuda.four_bit.compiled import CompiledProduct, cutting
from parfocal.engine.backends.cuda.four_bit.compiled.given import Given
from parfocal.engine.backends.cuda.nvrtc import Target

Products = Callable[[torch.dtype], CompiledProduct]

TYPES = [torch.bfloat16, torch.float16]
# Sums are float32's, of products that are exact; a real tensor core cuts off where the emulated one rounds.
TOLERANCES = {"cpu": 2e-6, "cuda": 2e-5}


def random_weights(outputs: int, blocks: int, dtype: torch.dtype, device: torch.device) -> Blocked:
    draw = torch.Generator().manual_seed(outputs)
    codes = torch.randint(256, (blocks, outputs, 32), dtype=torch.uint8, generator=draw)
    scales = torch.rand(blocks, outputs, generator=draw) + 0.1
    return Blocked(codes, scales, nf4_levels(), None, (outputs,), dtype).to(device)


def rows_of(weights: Blocked, count: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(count)
    return torch.randn(count, weights.inputs, generator=draw).to(weights.codes.device, weights.dtype)


def exact(x: torch.Tensor, weights: Blocked) -> torch.Tensor:
    """The product in float64, of levels rounded as tensor cores take them."""
    codes = torch.cat([weights.codes >> 4, weights.codes & 15], 2).int()
    levels = weights.levels.to(weights.dtype).double()
    weight = (levels[codes] * weights.scales.double()[:, :, None]).transpose(0, 1)
    return x.double() @ weight.reshape(weights.outputs, weights.inputs).T


def check(product: CompiledProduct, x: torch.Tensor, weights: Blocked) -> None:
    parts = product(x, weights).parts
    share = cutting.share_of(weights.outputs, len(weights.codes))
    assert parts.shape == (-(-len(weights.codes) // share), len(x), weights.outputs)
    assert parts.dtype is torch.float32
    right = exact(x, weights)
    off = float((parts.double().sum(0) - right).abs().max() / right.abs().max())
    assert off <= TOLERANCES[x.device.type], off


def shapes() -> Iterator[tuple[int, int]]:
    """Outputs and inputs of every product of the seven architectures in small."""
    for config in configurations(layers=1).values():
        wide, tall = config.hidden_size, config.intermediate_size
        dim = getattr(config, "head_dim", None) or wide // config.num_attention_heads
        q, kv = config.num_attention_heads * dim, config.num_key_value_heads * dim
        yield from ((q + 2 * kv, wide), (2 * tall, wide), (wide, q), (wide, tall))


@pytest.mark.parametrize(("outputs", "inputs"), sorted(set(shapes())))
def test_products_of_all_architectures_are_float64s(
    outputs: int, inputs: int, products: Products, device: torch.device
) -> None:
    weights = random_weights(outputs, inputs // 64, torch.bfloat16, device)
    for rows in (1, 9):
        check(products(torch.bfloat16), rows_of(weights, rows), weights)


@pytest.mark.parametrize("dtype", TYPES)
def test_products_that_fill_no_tile_are_float64s_in_every_tile_of_rows(
    dtype: torch.dtype, products: Products, device: torch.device
) -> None:
    # Nine blocks and 13: the last part and the last stage are not full.
    for outputs, blocks, rows in ((104, 9, 3), (1, 1, 8), (70, 13, 16), (131, 9, 17), (36, 13, 65)):
        weights = random_weights(outputs, blocks, dtype, device)
        check(products(dtype), rows_of(weights, rows), weights)
    assert products(dtype)(weights.scales.new_empty(0, weights.inputs, dtype=dtype), weights).rows == 0


@pytest.mark.parametrize("dtype", TYPES)
def test_unit_rows_give_the_weights_of_all_256_bytes_at_all_places_bit_by_bit(
    dtype: torch.dtype, products: Products, device: torch.device
) -> None:
    codes = torch.arange(256, dtype=torch.uint8)[None, :, None].expand(2, 256, 32).contiguous()
    scales = torch.rand(2, 256, generator=torch.Generator().manual_seed(3)) + 0.1
    weights = Blocked(codes, scales, nf4_levels(), None, (256,), dtype).to(device)
    units = torch.eye(128, dtype=dtype, device=device)

    found = products(dtype)(units, weights).parts.sum(0)

    levels = nf4_levels().to(dtype).float()
    for block in range(2):
        for place in range(32):
            for row, code in ((place, codes[0, :, 0] >> 4), (32 + place, codes[0, :, 0] & 15)):
                right = levels[code.int()] * scales[block]
                assert torch.equal(found[64 * block + row].cpu(), right), (block, row)


@pytest.mark.parametrize("dtype", TYPES)
def test_a_row_gets_the_same_bits_alone_and_at_any_place_among_64(
    dtype: torch.dtype, products: Products, device: torch.device
) -> None:
    weights, product = random_weights(70, 9, dtype, device), products(dtype)
    rows = rows_of(weights, 64)
    together = product(rows, weights).parts

    for place in (0, 7, 8, 31, 63):
        assert torch.equal(product(rows[place][None].contiguous(), weights).parts[:, 0], together[:, place])
    for count in (2, 9, 17, 33):
        assert torch.equal(product(rows[:count], weights).parts, together[:, :count])
    assert torch.equal(product(rows.flip(0).contiguous(), weights).parts.flip(1), together)


def test_a_row_that_is_not_finite_spoils_no_other(products: Products, device: torch.device) -> None:
    weights, product = random_weights(40, 5, torch.bfloat16, device), products(torch.bfloat16)
    rows = rows_of(weights, 9)
    right = product(rows, weights).parts
    rows[3, 70], rows[8, 0] = float("nan"), float("inf")

    found = product(rows, weights).parts

    rest = [0, 1, 2, 4, 5, 6, 7]
    assert torch.equal(found[:, rest], right[:, rest])
    assert not found[:, [3, 8]].sum(0).isfinite().any()


def test_weights_and_rows_that_are_views_give_the_same(products: Products, device: torch.device) -> None:
    product = products(torch.bfloat16)
    whole = random_weights(100, 4, torch.bfloat16, device)
    wide = torch.randn(5, 4 * 64 + 3, device=device).bfloat16()

    for rows in (wide[:, 3:], wide[:, : 4 * 64], wide[1:, 1:-2]):
        right = product(rows.contiguous(), whole).parts
        assert torch.equal(product(rows, whole).parts, right)
        # 33 outputs on: not even the scales are aligned any more.
        assert torch.equal(product(rows, whole.between(33, 90)).parts, right[:, :, 33:90])


@pytest.mark.gpu
@torch.inference_mode()
def test_graphs_capture_products_that_begin_early(products: Products, device: torch.device) -> None:
    product, weights = products(torch.bfloat16), random_weights(200, 16, torch.bfloat16, device)
    x = rows_of(weights, 8)

    def twice() -> torch.Tensor:
        # The second one's rows are made by the first one's kernel and one of torch's.
        y = product(x, weights).parts.sum(0)
        again = product(x + y.sum(1, keepdim=True).to(x.dtype), weights)
        return product(x, weights).parts.sum(0) + again.parts.sum(0)

    twice()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = twice()
    for seed in (1, 2, 3):
        x.copy_(rows_of(weights, 8).roll(seed, 1))
        graph.replay()
        assert torch.equal(captured, twice())


@pytest.fixture
def emulated(
    cards: dict[torch.dtype, EmulatedCard], products: Products, device: torch.device
) -> EmulatedCard:
    """The emulated card, with its kernels compiled."""
    if device.type == "cuda":
        pytest.skip("a real card does not show what happens inside")
    weights = random_weights(1, 1, torch.bfloat16, device)
    products(torch.bfloat16)(rows_of(weights, 1), weights)
    return cards[torch.bfloat16]


@pytest.mark.parametrize("runs_backward", [False, True])
@pytest.mark.parametrize("copies_late", [False, True])
def test_nothing_is_read_before_it_is_there_nor_overwritten_before_it_is_read(
    copies_late: bool, runs_backward: bool, emulated: EmulatedCard, products: Products, device: torch.device
) -> None:
    emulated.behave(copies_late=copies_late, runs_backward=runs_backward)
    try:
        for outputs, blocks, rows in ((104, 17, 8), (70, 13, 16), (36, 17, 20), (36, 13, 65)):
            weights = random_weights(outputs, blocks, torch.bfloat16, device)
            check(products(torch.bfloat16), rows_of(weights, rows), weights)
    finally:
        emulated.behave(copies_late=True, runs_backward=False)


def test_no_two_lanes_ask_a_bank_for_different_words(
    emulated: EmulatedCard, products: Products, device: torch.device
) -> None:
    weights = random_weights(cutting.OUTPUTS, 6, torch.bfloat16, device)
    library = emulated.library
    for rows in cutting.ROW_TILES:
        products(torch.bfloat16)(rows_of(weights, rows), weights)
    assert (library.card_load_conflicts(), library.card_store_conflicts()) == (0, 0)


def test_a_lane_finds_every_pair_in_its_own_bank(emulated: EmulatedCard) -> None:
    place = emulated.library.card_table_place
    for lane in range(32):
        for byte in range(256):
            for index in range(4):
                word = ctypes.c_uint(byte << 8 * index | 0xA5C3F0E1 & ~(255 << 8 * index))
                assert place(word, index, lane) == byte * 128 + lane * 4


def test_only_from_hopper_on_a_kernel_may_begin_before_the_last_has_ended(
    emulated: EmulatedCard,
    cards: dict[torch.dtype, EmulatedCard],
    products: Products,
    device: torch.device,
) -> None:
    for dtype, is_early in ((torch.bfloat16, 1), (torch.float16, 0)):
        weights = random_weights(8, 1, dtype, device)
        products(dtype)(rows_of(weights, 1), weights)
        assert cards[dtype].library.card_begun_early() == is_early


def test_kernels_and_those_who_launch_them_agree_on_sizes(emulated: EmulatedCard) -> None:
    library = emulated.library
    assert library.card_outputs() == cutting.OUTPUTS
    assert library.card_threads() == cutting.THREADS
    assert library.card_table_bytes() == cutting.TABLE_BYTES
    assert library.card_given_bytes() == ctypes.sizeof(Given)
    assert [library.card_stage_bytes(rows) for rows in cutting.ROW_TILES] == [
        cutting.stage_bytes(rows) for rows in cutting.ROW_TILES
    ]


def test_two_programs_share_a_multiprocessor_where_there_is_room() -> None:
    def stages(target: Target) -> list[int]:
        return [cutting.stages_for(rows, target) for rows in cutting.ROW_TILES]

    assert stages(HOPPER) == [6, 6, 4, 3]
    assert stages(AMPERE) == [4, 3, 2, 5]
    assert stages(ADA) == [6, 5, 3, 2]
    for target in (HOPPER, AMPERE, ADA):
        for rows, count in zip(cutting.ROW_TILES, stages(target), strict=True):
            assert cutting.shared_bytes(rows, count) <= target.shared_bytes - 1024


def test_every_multiprocessor_gets_work_and_no_part_is_empty() -> None:
    for outputs, inputs in ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336), (960, 576), (64, 64)):
        blocks = inputs // 64
        share = cutting.share_of(outputs, blocks)
        parts = -(-blocks // share)
        assert share % 2 == 0
        assert (parts - 1) * share < blocks <= parts * share
        if outputs >= 4096:
            assert 128 <= parts * -(-outputs // cutting.OUTPUTS) <= 264
