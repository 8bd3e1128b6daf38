"""Three ways from 4-bit codes to the numbers that they stand for, in the type that tensor cores multiply.

By a table of the 16 levels; by a table of all 256 pairs in a byte, so that one look-up gives two; and by
`prmt`, which looks four codes up among 8 bytes in registers: the lower and the upper bytes of 16-bit levels,
codes 0 to 7 and 8 to 15, each by one instruction.
"""

import enum
from functools import cache

import torch
from bitsandbytes.functional import get_4bit_type


class Way(enum.IntEnum):
    """How a kernel turns a byte of two codes into two numbers."""

    LEVELS = 0
    PAIRS = 1
    PRMT = 2


def nf4_levels() -> torch.Tensor:
    """The 16 numbers that NF4's codes stand for, before scaling (QLoRA, arXiv 2305.14314)."""
    levels: torch.Tensor = get_4bit_type("nf4", device="cpu").float()
    return levels


def table_of(way: Way, levels: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What a kernel looks up: `[16]` numbers, or `[256]` int32 that hold two 16-bit numbers each.

    The upper half of a pair belongs to the byte's upper code.
    """
    if way is not Way.PAIRS:
        return levels.float().contiguous()
    bits = levels.to(dtype).view(torch.int16).int() & 0xFFFF
    return (bits[:, None] << 16 | bits[None, :]).reshape(256).contiguous()


def assembly_of(way: Way, levels: torch.Tensor, dtype: torch.dtype) -> str:
    """PTX that turns four bytes `$4` into levels, `$0` and `$1` of upper codes, `$2` and `$3` of lower ones.

    Empty for the other ways.
    """
    if way is not Way.PRMT:
        return ""
    bits = levels.to(dtype).view(torch.int16).int() & 0xFFFF
    return _prmt(tuple(int(number) for number in bits.cpu()))


@cache
def _prmt(bits: tuple[int, ...]) -> str:
    low, high = _registers(bits, 0), _registers(bits, 8)
    picked = "\n".join(
        f"""prmt.b32 {part}{half}, {words[0]:#x}, {words[1]:#x}, s{half};
prmt.b32 u, {words[2]:#x}, {words[3]:#x}, s{half};
lop3.b32 {part}{half}, u, {part}{half}, m{half}, 0xE4;"""
        for half in "ab"
        for part, words in (("l", low), ("h", high))
    )
    # A selector's topmost bit would ask for the sign, so it is cleared; it makes the mask that says which
    # half of the table counts: lop3 takes u where the mask is set (0xE4).
    return f"""{{
.reg .b32 sa, sb, ma, mb, t, la, lb, ha, hb, u;
and.b32 sa, $4, 0x77777777;
shr.u32 sb, sa, 16;
shr.u32 t, $4, 3;
and.b32 t, t, 0x11111111;
prmt.b32 ma, 0x0000FF00, 0, t;
shr.u32 t, t, 16;
prmt.b32 mb, 0x0000FF00, 0, t;
{picked}
prmt.b32 $0, la, ha, 0x7351;
prmt.b32 $1, lb, hb, 0x7351;
prmt.b32 $2, la, ha, 0x6240;
prmt.b32 $3, lb, hb, 0x6240;
}}"""


def _registers(bits: tuple[int, ...], shift: int) -> list[int]:
    """One byte of each of 16 levels, four to a word."""
    found = [number >> shift & 0xFF for number in bits]
    return [sum(byte << 8 * place for place, byte in enumerate(found[at : at + 4])) for at in (0, 4, 8, 12)]
