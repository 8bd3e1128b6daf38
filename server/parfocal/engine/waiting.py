"""How long CPU threads spin while they wait for one another. Works only before torch is loaded."""

import os
import sys

_SPINS = 10_000  # 0.1 to 0.5 ms: longer than the gaps inside a step, shorter than a scheduler's time slice
_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def wait_briefly() -> None:
    """Lets OpenMP's threads sleep after a short spin, unless the environment says otherwise.

    torch's libgomp spins for milliseconds by default. Alone that is free; beside another process each of the
    several hundred waits in a training step burns the CPU that the awaited thread needs. Two trainings at
    once on two cores: 1,070 tokens/s each against 415; alone as fast as before.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in _SETTINGS):
        os.environ["GOMP_SPINCOUNT"] = str(_SPINS)
