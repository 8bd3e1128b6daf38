"""The kernels' structures in ctypes. Each names its C++ twin; fields are in the twin's order.

The compiled library reports its own layout (layout.cpp); `layout_fault` compares.
"""

import ctypes
from collections.abc import Iterable, Mapping
from typing import Any

_POINTER, _LONG, _FLOAT, _INT = ctypes.c_void_p, ctypes.c_long, ctypes.c_float, ctypes.c_int


class LinearStruct(ctypes.Structure):
    """`Linear` in linear.h."""

    _fields_ = (
        *((name, _POINTER) for name in ("codes", "scales", "table", "bias")),
        *((name, _LONG) for name in ("inputs", "outputs", "numbers")),
    )


class PairStruct(ctypes.Structure):
    """`Pair` in lora.h."""

    _fields_ = tuple((name, _POINTER) for name in ("a", "b", "a_scale", "b_scale"))


class SlabStruct(ctypes.Structure):
    """`Slab` in lora.h."""

    _fields_ = (("pairs", ctypes.POINTER(PairStruct)), ("rank", _LONG), ("numbers", _LONG))


class AdapterRowsStruct(ctypes.Structure):
    """`AdapterRows` in lora.h; steps hold them as an int64 tensor `[works, 4]`."""

    _fields_ = tuple((name, ctypes.c_int64) for name in ("slab", "slot", "row", "rows"))


class AttentionStruct(ctypes.Structure):
    """`Attention` in attention.h."""

    _fields_ = (
        *((name, _POINTER) for name in ("query", "keys", "values", "tables", "token_rows", "lengths", "out")),
        *(
            (name, _LONG)
            for name in (
                "tokens",
                "heads",
                "kv_heads",
                "dim",
                "block_tokens",
                "most_blocks",
                "query_token",
                "query_head",
                "window",
            )
        ),
        ("scale", _FLOAT),
        ("softcap", _FLOAT),
        ("half", ctypes.c_bool),
    )


class PartStruct(ctypes.Structure):
    """`Part` in decoder.cpp."""

    _fields_ = (("linear", LinearStruct), ("offset", _LONG))


class GroupStruct(ctypes.Structure):
    """`Group` in decoder.cpp."""

    _fields_ = (
        ("parts", ctypes.POINTER(PartStruct)),
        ("count", _LONG),
        ("width", _LONG),
        ("module", _LONG),
    )


class LayerStruct(ctypes.Structure):
    """`Layer` in decoder.cpp."""

    _fields_ = (
        *((name, GroupStruct) for name in ("query_key_value", "output", "gate_up", "down")),
        *(
            (name, _POINTER)
            for name in (
                "before_attention",
                "after_attention",
                "before_feed_forward",
                "after_feed_forward",
                "query_norm",
                "key_norm",
                "keys",
                "values",
            )
        ),
        ("window", _LONG),
        ("rotation", _LONG),
    )


class DecoderStruct(ctypes.Structure):
    """`Decoder` in decoder.cpp."""

    _fields_ = (
        ("layers", ctypes.POINTER(LayerStruct)),
        *(
            (name, _LONG)
            for name in (
                "count",
                "hidden",
                "heads",
                "kv_heads",
                "dim",
                "rotary",
                "feed_forward",
                "block_tokens",
                "activation",
            )
        ),
        *((name, _FLOAT) for name in ("epsilon", "scale", "softcap")),
        ("numbers", _LONG),
        ("half", _INT),
    )


class StepStruct(ctypes.Structure):
    """`Step` in decoder.cpp."""

    _fields_ = (
        ("x", _POINTER),
        ("cos", _POINTER * 2),
        ("sin", _POINTER * 2),
        *((name, _POINTER) for name in ("tables", "token_rows", "lengths", "places", "slabs", "works")),
        *((name, _LONG) for name in ("tokens", "most_blocks", "work_count", "widest_rank", "whole_adapters")),
    )


TWINS: Mapping[str, type[ctypes.Structure]] = {
    "Linear": LinearStruct,
    "Pair": PairStruct,
    "Slab": SlabStruct,
    "AdapterRows": AdapterRowsStruct,
    "Attention": AttentionStruct,
    "Part": PartStruct,
    "Group": GroupStruct,
    "Layer": LayerStruct,
    "Decoder": DecoderStruct,
    "Step": StepStruct,
}


def layout_fault(layouts: str, twins: Mapping[str, type[ctypes.Structure]] = TWINS) -> str:
    """Where Python's structures differ from the library's `layouts`; empty if nowhere."""
    told = {line.split()[0]: line for line in layouts.splitlines()}
    for name, twin in twins.items():
        ours, theirs = layout_text(name, twin), told.get(name, "nothing")
        if ours != theirs:
            return f"{twin.__name__} is {ours!r} in Python and {theirs!r} in the library"
    strangers = ", ".join(sorted(told.keys() - twins.keys()))
    return f"Python has no twin of {strangers}" if strangers else ""


def layout_text(name: str, twin: type[ctypes.Structure]) -> str:
    """A structure's name, size, and each field's name, offset and size, as layout.cpp writes them.

    >>> layout_text("Slab", SlabStruct)
    'Slab 24 pairs 0 8 rank 8 8 numbers 16 8'
    """
    fields = ((field[0], getattr(twin, field[0])) for field in twin._fields_)
    places = (f"{field} {place.offset} {place.size}" for field, place in fields)
    return " ".join([name, str(ctypes.sizeof(twin)), *places])


def array_of(kind: Any, items: Iterable[Any]) -> Any:
    """A C array of structures. It copies them, but not what their pointers point to."""
    found = list(items)
    return (kind * len(found))(*found)
