"""The random generator is Philox-4x32-10 and depends on nothing but seed and position."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine.sampling.philox import philox4x32, uniforms

SEEDS = st.integers(-(2**63), 2**64 - 1)
POSITIONS = st.integers(0, 2**40)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_the_authors_known_answers_hold(
    counter: tuple[int, ...], key: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    words = [tuple(np.array([word], dtype=np.uint64) for word in words) for words in (counter, key)]

    assert tuple(int(word[0]) for word in philox4x32(*words)) == expected


@given(st.lists(st.tuples(SEEDS, POSITIONS), min_size=1, max_size=20))
def test_a_number_depends_on_its_seed_and_position_alone(pairs: list[tuple[int, int]]) -> None:
    together = uniforms([seed for seed, _ in pairs], [position for _, position in pairs])

    alone = [uniforms([seed], [position])[0] for seed, position in pairs]
    assert together.tolist() == alone
    assert ((together > 0) & (together <= 1)).all()


def test_neighbouring_seeds_and_positions_give_unrelated_numbers() -> None:
    side = 200
    seeds, positions = np.divmod(np.arange(side * side), side)

    grid = uniforms(seeds.tolist(), positions.tolist()).reshape(side, side)

    assert len(np.unique(grid)) == side * side
    for neighbours in (grid[1:], grid[:, 1:]):
        here = grid[: neighbours.shape[0], : neighbours.shape[1]]
        assert abs(np.corrcoef(here.ravel(), neighbours.ravel())[0, 1]) < 5 / side
    cells = np.histogram(grid, bins=64, range=(0, 1))[0]
    expected = side * side / 64
    assert ((cells - expected) ** 2 / expected).sum() < 123  # chi-square, 63 degrees of freedom, p = 1e-5
