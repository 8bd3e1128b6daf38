"""The base's 4-bit linears on CUDA: blocked weights, products of few rows, bitsandbytes' own."""

from parfocal.engine.backends.cuda.four_bit.blocked import (
    BLOCK,
    Blocked,
    block,
    can_block,
    side_by_side,
    unblocked,
)
from parfocal.engine.backends.cuda.four_bit.choice import choose_products
from parfocal.engine.backends.cuda.four_bit.compiled import CompiledProduct, compiled_products
from parfocal.engine.backends.cuda.four_bit.kernels import product_tile
from parfocal.engine.backends.cuda.four_bit.layout import BlockedLinears, unpack
from parfocal.engine.backends.cuda.four_bit.levels import Way, nf4_levels
from parfocal.engine.backends.cuda.four_bit.linears import (
    BlockedLinear4bit,
    JoinedLinear4bit,
    Serving,
    by_kernels,
    joined,
)
from parfocal.engine.backends.cuda.four_bit.partials import Partials, single
from parfocal.engine.backends.cuda.four_bit.product import (
    Product,
    ProductLaunch,
    Tiles,
    TritonProduct,
    dequantised,
    tiles_of,
    ways_for,
)
from parfocal.engine.backends.cuda.four_bit.switched import (
    Clock,
    Shape,
    SwitchedLinear4bit,
    SwitchPoint,
    fused_product,
    measure_switch,
    measure_switches,
    speed_up,
    switch_linears,
)

__all__ = [
    "BLOCK",
    "Blocked",
    "BlockedLinear4bit",
    "BlockedLinears",
    "Clock",
    "CompiledProduct",
    "JoinedLinear4bit",
    "Partials",
    "Product",
    "ProductLaunch",
    "Serving",
    "Shape",
    "SwitchPoint",
    "SwitchedLinear4bit",
    "Tiles",
    "TritonProduct",
    "Way",
    "block",
    "by_kernels",
    "can_block",
    "choose_products",
    "compiled_products",
    "dequantised",
    "fused_product",
    "joined",
    "measure_switch",
    "measure_switches",
    "nf4_levels",
    "product_tile",
    "side_by_side",
    "single",
    "speed_up",
    "switch_linears",
    "tiles_of",
    "unblocked",
    "unpack",
    "ways_for",
]
