"""The kernel and numpy find the same likeliest tokens, among all and among those that are allowed."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fakes.engine.constraints import Listed, packed
from fakes.engine.sampling_rows import DRAWN, PLAIN, VOCABULARY, random_logits
from parfocal.engine.backends.native import Library, NativeLikeliest
from parfocal.engine.sampling import Likeliest, PlainLikeliest, Sampler
from parfocal.engine.scheduling import SamplingRow

WIDTHS = st.sampled_from((1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 100, 2048, 3001))
# So few different logits that most rows have ties, and the broken ones.
LOGITS = st.sampled_from((-3.5, -1.0, 0.0, -0.0, 0.25, 1.0, 3e38, -torch.inf, torch.inf, torch.nan))


def among(likeliest: Likeliest, logits: torch.Tensor, allowed: dict[int, bytes]) -> list[int]:
    """The tokens of all rows, those without bits left at 7."""
    chosen = torch.full(logits.shape[:1], 7)
    likeliest.of_allowed(logits, allowed, chosen)
    return chosen.tolist()


@st.composite
def rows_of_logits(draw: st.DrawFn) -> torch.Tensor:
    """Rows of few values, each by itself finite, infinite here and there, or broken."""
    width, rows = draw(WIDTHS), draw(st.integers(1, 5))
    found = torch.empty(rows, width)
    for row in found:
        values = torch.tensor(draw(st.lists(LOGITS, min_size=1, max_size=4)))
        places = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
        row[:] = values[torch.randint(len(values), (width,), generator=places)]
    return found


@st.composite
def sets_of_tokens(draw: st.DrawFn, rows: int, width: int) -> dict[int, bytes]:
    """Bits for some of the rows, also none and also beyond the last token, in any order."""
    some = draw(st.permutations(range(rows)))[: draw(st.integers(0, rows))]
    words = -(-width // 32) * 4
    return {row: draw(st.sampled_from((b"\0", b"\1", b"\xff", b"\x10\x80"))) * words for row in some} | {
        row: draw(st.binary(min_size=words, max_size=words)) for row in some[::2]
    }


@given(logits=rows_of_logits())
def test_among_all_tokens(library: Library, logits: torch.Tensor) -> None:
    found = NativeLikeliest(library).of_all(logits)

    assert found.tolist() == PlainLikeliest().of_all(logits).tolist()
    broken = logits.isnan().any(-1) | logits.amax(-1).isfinite().logical_not()
    for row, place in enumerate(found.tolist()):
        best = (logits[row] == logits[row].amax()).nonzero()
        assert place == (-1 if broken[row] else int(best[0]))


@given(data=st.data())
def test_among_allowed_tokens(library: Library, data: st.DataObject) -> None:
    logits = data.draw(rows_of_logits())
    allowed = data.draw(sets_of_tokens(*logits.shape))

    assert among(NativeLikeliest(library), logits, allowed) == among(PlainLikeliest(), logits, allowed)


@pytest.mark.parametrize("width", [2048, 49_152, 151_936])
def test_many_rows_of_real_widths_on_several_threads(library: Library, width: int) -> None:
    library.threads(2)
    logits = random_logits(40, width)
    few = packed((5, 1023, width - 1), width)
    allowed = dict.fromkeys((39, 0, 7), few) | {8: b"\xff" * len(few), 9: b"\0" * len(few)}

    found = NativeLikeliest(library)

    assert found.of_all(logits).tolist() == logits.argmax(-1).tolist()
    assert among(found, logits, allowed) == among(PlainLikeliest(), logits, allowed)


@pytest.mark.parametrize("convert", [torch.Tensor.double, torch.Tensor.bfloat16])
def test_other_logits_are_left_to_torch(
    library: Library, convert: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    logits = convert(random_logits(4))

    assert NativeLikeliest(library).of_all(logits).tolist() == logits.argmax(-1).tolist()


def test_logits_that_lie_apart_are_read_as_well(library: Library) -> None:
    logits, allowed = random_logits(4, 100)[:, ::2], {3: packed((3, 40), 50)}
    found = NativeLikeliest(library)

    assert found.of_all(logits).tolist() == logits.argmax(-1).tolist()
    assert among(found, logits, allowed) == among(PlainLikeliest(), logits, allowed)


def test_bits_for_fewer_tokens_than_there_are_logits_are_refused(library: Library) -> None:
    with pytest.raises(ValueError, match="64 logits"):
        NativeLikeliest(library).of_allowed(
            random_logits(2, 64), {0: bytes(8), 1: bytes(4)}, torch.zeros(2, dtype=torch.int64)
        )


@pytest.mark.parametrize("asked", [PLAIN, DRAWN])
def test_a_sampler_draws_the_same_tokens_by_both(library: Library, asked: SamplingRow) -> None:
    logits = random_logits(30)
    few = Listed(((3,), (17,), (49,)), VOCABULARY)
    rows = [
        replace(asked, draw_seed=n, banned_ids=(17,), constraint=few.start() if n % 3 else None)
        for n in range(30)
    ]

    native, plain = Sampler(likeliest=NativeLikeliest(library)), Sampler()

    assert native.sample(logits, rows) == plain.sample(logits, rows)
