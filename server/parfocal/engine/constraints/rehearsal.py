"""Draws answers at random under a constraint, to see what a step will cost the server.

What compiles may still be slow at every token, or reach its limits after a few. Then all who share the batch
would wait, so it is refused before.
"""

import random
import time
from collections.abc import Iterator

from parfocal.engine.constraints.constraint import Constraint, ConstraintState
from parfocal.engine.errors import ConstraintFailed, ConstraintRefused

_TOKENS = 64
_SLOWEST_MS = 50.0
_AVERAGE_MS = 5.0


def rehearse(constraint: Constraint) -> None:
    """Returns if the steps of random answers are fast.

    Raises:
        ConstraintRefused: an answer fails, or a step of it takes too long.
    """
    taken = list(_steps(constraint))
    slowest, average = max(taken), sum(taken) / len(taken)
    if slowest > _SLOWEST_MS or average > _AVERAGE_MS:
        raise ConstraintRefused(
            f"the constraint takes {average:.0f} ms a token, and up to {slowest:.0f} ms; the limits are "
            f"{_AVERAGE_MS:.0f} and {_SLOWEST_MS:.0f}; make it simpler: fewer properties and alternatives, "
            "fewer ways to derive the same text",
            field="output_format",
        )


def _steps(constraint: Constraint) -> Iterator[float]:
    """The milliseconds of each step: of the processor, so that a busy machine refuses nothing."""
    chance, state = random.Random(0), constraint.start()
    for _ in range(_TOKENS):
        begun = time.process_time()
        _draw(state, chance)
        yield 1000 * (time.process_time() - begun)
        if state.is_complete:
            state = constraint.start()


def _draw(state: ConstraintState, chance: random.Random) -> None:
    try:
        state.accept(_some_token(state.allowed(), chance))
    except ConstraintFailed as failure:
        raise ConstraintRefused(str(failure), field="output_format") from failure


def _some_token(bits: bytes, chance: random.Random) -> int:
    """One of the tokens whose bits are set."""
    place = chance.choice([place for place, byte in enumerate(bits) if byte])
    return 8 * place + chance.choice([bit for bit in range(8) if bits[place] >> bit & 1])
