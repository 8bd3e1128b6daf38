"""What an engine is made of. No behaviour."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .admission import Admission
from .blocks import BlockPool
from .inbox import Inbox
from .observer import AdapterStatus as AdapterStatus
from .observer import Observer
from .plan import Plan
from .residency import SlotResidency
from .sampling_row import SampledToken
from .scheduler import Scheduler
from .text import TextStream


class PlanRunner(Protocol):
    """Computes plans."""

    @property
    def overlaps(self) -> bool:
        """Tells whether the device computes while the calling thread does something else."""

    def run(self, plan: Plan, meanwhile: Callable[[], None]) -> list[SampledToken | None]:
        """Returns each row's drawn token in the plan's order, None where a prompt is unfinished.

        Calls `meanwhile` once all work is on its way, before it waits for the tokens.
        """


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
    max_waiting: int = 1024
