"""What a run asks of its other processes: a protocol, and the answers of a process without any. No torch."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, TypeVar

from parfocal.engine import quick_imports, quiet_libraries
from parfocal.registry.values import JSON
from parfocal.training.processes.place import Place

T = TypeVar("T")


class Peers(Protocol):
    """The processes of one run. All of them make the same calls in the same order.

    Each call raises PeerLost if another process has ended, or does not come in time.
    """

    @property
    def place(self) -> Place:
        """Which of them this one is."""

    def tell(self, name: str, value: JSON) -> None:
        """Leaves a message of the leader's, which the others `hear` when they come to it."""

    def hear(self, name: str) -> JSON:
        """Waits for that message, however long the leader takes."""

    def meet(self, minutes: float) -> None:
        """Opens all that follows, in which no process waits longer than `minutes` for another."""

    def told(self, value: T) -> T:
        """The leader's `value`, in every process."""

    def agreed(self, *flags: bool) -> tuple[bool, ...]:
        """Each flag, true if it is so in any process."""

    def wait(self) -> None:
        """Returns when every process is here."""

    def losses_named(self) -> AbstractContextManager[None]:
        """A context in which libraries' failures because of a lost process are told as PeerLost."""


class Alone:
    """The only process of its run."""

    place = Place()

    def tell(self, name: str, value: JSON) -> None:
        """Tells nobody."""

    def hear(self, name: str) -> JSON:
        """Nobody speaks."""
        raise RuntimeError(f"a process alone waits for {name}")

    def meet(self, minutes: float) -> None:
        """Nobody comes."""

    def told(self, value: T) -> T:
        return value

    def agreed(self, *flags: bool) -> tuple[bool, ...]:
        return flags

    def wait(self) -> None:
        """Nobody is missing."""

    def losses_named(self) -> AbstractContextManager[None]:
        """Nobody can be lost."""
        return nullcontext()


ALONE = Alone()


@contextmanager
def joined(place: Place) -> Iterator[Peers]:
    """Joins the processes of the run that `place` belongs to; what ends this one is told to them.

    Raises:
        PeerLost: they could not be reached.
    """
    if place.size == 1:
        yield ALONE
        return
    with quiet_libraries(), quick_imports():
        from parfocal.training.processes.together import Together
    with Together(place) as peers:
        yield peers
