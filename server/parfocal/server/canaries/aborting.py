"""Aborts canaries at the registry, until it has heard."""

import logging
import threading
from typing import Protocol

from parfocal.registry import Alias, AliasMoved, Canary, CanaryComparison, NotFound, RegistryError
from parfocal.rpc import WireError

log = logging.getLogger(__name__)

_RETRY_S = 5.0


class AbortsCanaries(Protocol):
    """A registry, as far as a canary can be aborted there."""

    def abort_canary(
        self, name: str, alias: str, number: int, actor: str = "", found: tuple[CanaryComparison, ...] = ()
    ) -> Alias:
        """Gives all requests of the alias to the version that it points at; see Registry."""


class Aborter:
    """Has canaries aborted by a thread of its own, from `start` to `close`; `actor` signs for it.

    Where the registry does not answer, or does not let this server, it is asked again; the server itself
    gives the canary nothing meanwhile.
    """

    def __init__(self, registry: AbortsCanaries, actor: str, retry_s: float = _RETRY_S) -> None:
        self._registry = registry
        self._actor = actor
        self._retry_s = retry_s
        self._due: dict[tuple[str, str, int], tuple[Canary, tuple[CanaryComparison, ...]]] = {}
        self._told: set[tuple[str, str, int]] = set()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="parfocal-abort", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def close(self) -> None:
        """Tries nothing more; does not wait for a registry that is silent."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def abort(self, canary: Canary, found: tuple[CanaryComparison, ...]) -> None:
        """Has a canary aborted soon, with what was found."""
        with self._changed:
            self._due[canary.name, canary.alias, canary.number] = (canary, found)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due and not self._is_closed:
                    self._changed.wait()
                if self._is_closed:
                    return
                due = dict(self._due)
            for key, (canary, found) in due.items():
                if self._aborted(canary, found):
                    with self._changed:
                        self._due.pop(key, None)
            with self._changed:
                if self._due.keys() <= due.keys() and self._due and not self._is_closed:
                    self._changed.wait(self._retry_s)

    def _aborted(self, canary: Canary, found: tuple[CanaryComparison, ...]) -> bool:
        """Whether the canary has ended, by this or otherwise."""
        place = f"{canary.name}@{canary.alias}"
        try:
            self._registry.abort_canary(canary.name, canary.alias, canary.number, self._actor, found)
        except (NotFound, AliasMoved) as error:
            log.info("the canary %s of %s had ended already: %s", canary, place, error)
        except (RegistryError, WireError) as error:
            self._tell(canary, error)
            return False
        else:
            log.warning("aborted the canary %s of %s", canary, place)
        return True

    def _tell(self, canary: Canary, error: Exception) -> None:
        """Logs once per canary that it cannot be aborted."""
        key = (canary.name, canary.alias, canary.number)
        if key in self._told:
            return
        self._told.add(key)
        log.error(
            "the canary %s of %s@%s gets no request here, and cannot be aborted in the registry; this is "
            "tried again every %g s: %s",
            canary, canary.name, canary.alias, self._retry_s, error,
        )  # fmt: skip
