"""What one step computes, as plain values.

The seam between the scheduler (no torch) and the runner (no queues).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.engine.adapters import Place
from parfocal.engine.scheduling.sampling_row import SamplingRow


@dataclass(frozen=True, slots=True)
class PlanRow:
    """The share of one request in a step.

    `token_ids` are computed now, the first at position `start`; `blocks` hold the positions 0 to
    `start + len(token_ids)`; `place` is None for the base. `sampling` is None while the prompt is unfinished.
    """

    request_id: str
    token_ids: Sequence[int]
    start: int
    blocks: Sequence[int]
    place: Place | None
    sampling: SamplingRow | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The rows of one step. The runner may compute them in any order and answers in this one."""

    rows: tuple[PlanRow, ...]

    @property
    def tokens(self) -> int:
        """Returns how many tokens the step computes."""
        return sum(len(row.token_ids) for row in self.rows)

    def alone(self) -> list["Plan"]:
        """Returns the same work as one plan for each row, to find the row that fails."""
        return [Plan((row,)) for row in self.rows]
