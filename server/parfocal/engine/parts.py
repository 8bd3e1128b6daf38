"""What an engine is made of. No behaviour."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from parfocal.engine.adapters import SlotResidency
from parfocal.engine.inbox import Inbox
from parfocal.engine.observer import AdapterStatus as AdapterStatus
from parfocal.engine.observer import Observer
from parfocal.engine.owner import Owner
from parfocal.engine.scheduling import Admission, BlockPool, Plan, SampledToken, Scheduler
from parfocal.engine.stopwatch import Stopwatch
from parfocal.engine.text import TextStream


class PlanRunner(Protocol):
    """Computes plans."""

    @property
    def overlaps(self) -> bool:
        """Whether the device computes while the calling thread does something else."""

    def run(self, plan: Plan, meanwhile: Callable[[], None]) -> list[SampledToken | None]:
        """Each row's sampled token, in the plan's order; None where a prompt is unfinished.

        Calls `meanwhile` once all work is queued, before it waits for the tokens. When it returns or raises,
        nothing computes the plan any more; after an error, nor the one that was queued behind it.
        """

    @property
    def goes_ahead(self) -> bool:
        """Whether `queue_next` may ever return True."""

    def queue_next(self, plan: Plan) -> bool:
        """Queues a plan made ahead behind the one that runs, without waiting; to be called in `meanwhile`.

        The next `run` must be of the same plan. Returns False if it cannot be queued, and then has done
        nothing.
        """

    def is_lost(self, error: BaseException) -> bool:
        """Whether the device can compute nothing any more, `error` being what it raised."""

    def release(self) -> None:
        """Gives memory that no tensor uses back to the device, so that a failed step can be tried again."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What an engine is made of; `build_engine` puts the real ones together, tests their own."""

    scheduler: Scheduler
    runner: PlanRunner
    residency: SlotResidency
    pool: BlockPool
    admission: Admission
    inbox: Inbox
    observer: Observer
    text: Callable[[tuple[str, ...]], TextStream]
    close: Callable[[], None]
    owner: Owner
    watch: Stopwatch
    max_waiting: int = 1024
