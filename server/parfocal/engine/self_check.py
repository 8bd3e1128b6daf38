"""Finds out whether the engine can compute at all, once a step has failed for every one of its rows."""

from collections.abc import Callable

from parfocal.engine.errors import EngineFailed
from parfocal.engine.request import Sampling
from parfocal.engine.scheduling import BlockPool, Plan, PlanRow, SampledToken, SamplingRow
from parfocal.engine.tracebacks import in_short

MOST_FAILURES = 8

Drawn = list[SampledToken | None]

_GREEDY = SamplingRow(Sampling(), 0, (0,), (), (), logprobs=False, top_logprobs=0, draw_seed=0)


class SelfCheck:
    """Computes one token of the base alone before the next step, where the last one failed for all its rows.

    Those requests may each be at fault, as those of a broken adapter are, and one caller may send many. The
    base alone is at no fault: if it fails too, no request could succeed, and none is tried until it works
    again. `run` returns what came of a plan, or the error it raised. Whoever steps says when it `is_due`.
    """

    def __init__(self, pool: BlockPool, run: Callable[[Plan], Drawn | Exception]) -> None:
        self._pool = pool
        self._run = run
        self.is_due = False
        self._failures = 0

    def passes(self) -> bool:
        """Whether a step may be computed, checking that first; for when it `is_due`.

        Raises EngineFailed when the base has failed `MOST_FAILURES` times in a row.
        """
        # Others hold every block: their own steps will tell.
        if not self._pool.can_take((), 1):
            return True
        fault = self._fault()
        if fault:
            self._failures += 1
            self._judge(fault)
            return False
        self.is_due, self._failures = False, 0
        return True

    def _fault(self) -> str:
        blocks = self._pool.take(1)
        drawn = self._run(Plan((PlanRow("self-check", (0,), 0, tuple(blocks), None, _GREEDY),)))
        self._pool.release(blocks)
        if isinstance(drawn, Exception):
            return in_short(drawn)
        return drawn[0].error if drawn[0] is not None else "no token was drawn"

    def _judge(self, fault: str) -> None:
        if self._failures >= MOST_FAILURES:
            raise EngineFailed(
                f"the base alone has failed in {self._failures} steps in a row: {fault}; "
                "send the request to another server"
            )
