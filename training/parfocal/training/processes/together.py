"""Several processes over torch.distributed: a store for messages, gloo or NCCL for all that is computed.

The store comes first, as it needs no common pace: one process may read its data while others wait. Whatever
ends a process is left there, so that the others can say why they end.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

import torch
from torch import distributed
from torch._C._distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from parfocal.registry.values import JSON
from parfocal.training.errors import PeerLost
from parfocal.training.processes.place import Place

T = TypeVar("T")

_ENDED = "ended"
_PREFIX = "parfocal"
_REACHED = timedelta(minutes=5)  # for a machine that starts later than others
_LOOK_S = 0.05
_SAY_S = 3.0  # for a process that fails to say why
# What gloo, NCCL and the store write when the other side has gone or does not come.
_SIGNS = (
    "gloo",
    "NCCL",
    "Connection closed",
    "Connection reset",
    "Broken pipe",
    "imed out",
)

_LATE = re.compile("timed? ?out", re.IGNORECASE)


class Together:
    """One process among several, as a context; see `Peers`."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._minutes = 0.0
        try:
            meeting = rendezvous("env://", place.rank, place.size, timeout=_REACHED)
            store: Any = next(meeting)[0]
        except (RuntimeError, ValueError, OSError) as error:
            where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
            raise PeerLost(f"{place} finds nobody at {where}: {_first_line(error)}") from error
        self._store = PrefixStore(_PREFIX, store)

    def __enter__(self) -> "Together":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, PeerLost):
            self._say_why(error)
        if distributed.is_initialized():
            distributed.destroy_process_group()

    def tell(self, name: str, value: JSON) -> None:
        """Leaves a message for the others."""
        with self.losses_named():
            self._store.set(name, json.dumps(value))

    def hear(self, name: str) -> JSON:
        """Waits for the message, or for the end of a process."""
        with self.losses_named():
            while not self._store.check([name]):
                if self._store.check([_ENDED]):
                    raise self._lost()
                time.sleep(_LOOK_S)
            value: JSON = json.loads(self._store.get(name))
            return value

    def meet(self, minutes: float) -> None:
        """Opens the group."""
        self._minutes = minutes
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        with self.losses_named():
            distributed.init_process_group(
                backend,
                store=PrefixStore("group", self._store),
                rank=self.place.rank,
                world_size=self.place.size,
                timeout=timedelta(minutes=minutes),
            )

    def told(self, value: T) -> T:
        """Sends the leader's value."""
        box = [value if self.place.leads else None]
        with self.losses_named():
            distributed.broadcast_object_list(box, device=torch.device("cpu"))
        return box[0]  # type: ignore[return-value]  # the leader put a T in

    def agreed(self, *flags: bool) -> tuple[bool, ...]:
        """Takes the maximum of each flag."""
        said = torch.tensor(flags, dtype=torch.uint8)
        with self.losses_named():
            distributed.all_reduce(said, distributed.ReduceOp.MAX)
        return tuple(bool(flag) for flag in said.tolist())

    def wait(self) -> None:
        """Counts everybody."""
        self.agreed(False)

    def losses_named(self) -> AbstractContextManager[None]:
        """Raises PeerLost for what torch raises when a process is gone."""
        return self._losses_named()

    @contextmanager
    def _losses_named(self) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, OSError) as error:
            known = isinstance(error, distributed.DistError)
            if not known and not any(sign in str(error) for sign in _SIGNS):
                raise
            raise self._lost(came_late=_LATE.search(str(error)) is not None) from error

    def _lost(self, *, came_late: bool = False) -> PeerLost:
        """Says why a process ended, if it left word."""
        until = time.monotonic() + _SAY_S
        while time.monotonic() < until:
            try:
                if self._store.check([_ENDED]):
                    said = json.loads(self._store.get(_ENDED))
                    return PeerLost(
                        f"process {said['rank']} of {self.place.size} ended the run: {said['message']}",
                        cause=said["reason"],
                    )
            except (RuntimeError, OSError):
                break  # its host was the process that is gone
            time.sleep(_LOOK_S)
        what = f"does not come within {self._minutes:g} minutes" if came_late else "has gone without a word"
        return PeerLost(f"{self.place}: another process {what}")

    def _say_why(self, error: BaseException) -> None:
        """Leaves word for the others; the first that ends is the cause."""
        reason = str(getattr(error, "reason", type(error).__name__))
        said = json.dumps({"rank": self.place.rank, "reason": reason, "message": _first_line(error)})
        try:
            self._store.compare_set(_ENDED, "", said)
        except (RuntimeError, OSError):
            return  # nobody is left to read it


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
