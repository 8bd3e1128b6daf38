"""The kernels' float32 linear equals torch's in double precision, and a row's bits depend on no other row."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from parfocal.engine.backends.native import Library
from parfocal.engine.backends.native.modules import NativeDense

sizes = st.integers(1, 130)


@given(rows=st.integers(1, 20), inputs=sizes, outputs=sizes, bias=st.booleans())
def test_any_sizes_are_computed(library: Library, rows: int, inputs: int, outputs: int, bias: bool) -> None:
    draw = torch.Generator().manual_seed(inputs)
    weight, added = torch.randn(outputs, inputs, generator=draw), torch.randn(outputs, generator=draw)
    x = torch.randn(1, rows, inputs, generator=draw)

    found = NativeDense(library, weight, added if bias else None)(x)

    right = functional.linear(x.double(), weight.double(), added.double() if bias else None)
    torch.testing.assert_close(found.double(), right, rtol=1e-5, atol=1e-4)


@given(count=st.integers(1, 40), inputs=sizes, outputs=sizes)
def test_a_row_gets_the_same_bits_at_any_place_in_any_batch(
    library: Library, count: int, inputs: int, outputs: int
) -> None:
    draw = torch.Generator().manual_seed(count)
    linear = NativeDense(library, torch.randn(outputs, inputs, generator=draw), None)
    x = torch.randn(count, inputs, generator=draw)
    together = linear(x)

    assert torch.equal(together, torch.cat([linear(row[None]) for row in x]))
    assert torch.equal(together, linear(x.flip(0)).flip(0))
