"""Ends requests under way, of any face, whose key is taken away. Knows no request."""

import asyncio

from parfocal.rpc.access import AccessError, Caller, Keys
from parfocal.rpc.ending import Ending, when_this_task_ends

# How often the keys of requests under way are looked at.
_RECHECK_S = 1.0


class KeyWatch:
    """Looks once a second at the keys of requests under way, while there are any. Of one event loop."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._under_way: dict[Ending, Caller] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, caller: Caller) -> None:
        """Ends the request that this task serves, with the cause, when its key no longer allows it."""
        ending = Ending.of_this_task()
        self._under_way[ending] = caller
        when_this_task_ends(lambda: self._under_way.pop(ending, None))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_RECHECK_S, self._recheck)

    def _recheck(self) -> None:
        self._timer = None
        faults: dict[Caller, AccessError | None] = {}
        for ending, caller in list(self._under_way.items()):
            if caller not in faults:
                faults[caller] = self._fault(caller)
            if (fault := faults[caller]) is not None:
                ending.end(fault)
        if self._under_way:
            self._timer = asyncio.get_running_loop().call_later(_RECHECK_S, self._recheck)

    def _fault(self, caller: Caller) -> AccessError | None:
        try:
            self._keys.check(caller)
        except AccessError as error:
            return error
        return None
