"""Whether and when a failed call is made again: exponential backoff with jitter, within a deadline.

As gRPC's own retry design, and AWS's "Exponential Backoff And Jitter": half of each pause is drawn at random,
so that callers that failed together do not come back together.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from parfocal.client.errors import ClientError, Overloaded, Unavailable
from parfocal.rpc import NOT_GRPC, TLS_FAILED


@dataclass(frozen=True, slots=True)
class Retries:
    """At most `attempts` calls, the first included; pauses grow from `first_s` by `factor` up to `longest_s`.

    What the server says it takes until another try may succeed is waited for on top. `Retries(attempts=1)`
    makes every call once.
    """

    attempts: int = 6
    first_s: float = 0.2
    factor: float = 2.0
    longest_s: float = 5.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_s < 0 or self.factor < 1 or self.longest_s < 0:
            raise ValueError(f"{self} makes no sense; attempts and factor are 1 or more, times not negative")

    def pause_s(self, failures: int, drawn: float) -> float:
        """The pause after so many failures; `drawn` in [0, 1] is the jitter.

        >>> [Retries(first_s=1, longest_s=5).pause_s(failures, drawn=1.0) for failures in (1, 2, 3, 4)]
        [1.0, 2.0, 4.0, 5.0]
        """
        longest = min(self.longest_s, self.first_s * self.factor ** min(failures - 1, 64))
        return longest * (1.0 + drawn) / 2


NEVER = Retries(attempts=1)


class Attempts:
    """The attempts of one call, all of them within `timeout_s` seconds from now."""

    def __init__(
        self,
        retries: Retries,
        timeout_s: float | None,
        is_repeatable: bool = True,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._retries = retries
        self._clock = clock
        self._draw = draw
        self._until = None if timeout_s is None else clock() + timeout_s
        self._is_repeatable = is_repeatable
        self._failures = 0

    def left_s(self) -> float | None:
        """The time that is left for an attempt; None without a deadline."""
        return None if self._until is None else max(0.0, self._until - self._clock())

    def pause_after(self, error: ClientError) -> float:
        """How long to wait before the next attempt; raises `error` if there is none."""
        self._failures += 1
        if self._failures >= self._retries.attempts or not self._may_succeed(error):
            raise error
        pause = (error.retry_after_s or 0.0) + self._retries.pause_s(self._failures, self._draw())
        left = self.left_s()
        if left is not None and pause >= left:
            raise error
        return pause

    def _may_succeed(self, error: ClientError) -> bool:
        if isinstance(error, Overloaded):
            return error.retry_after_s is not None
        if not isinstance(error, Unavailable) or error.reason in (TLS_FAILED, NOT_GRPC):
            return False
        # With a reason of its own, our server refused before it did anything. Without one, the connection
        # broke, and nobody knows what was done.
        return self._is_repeatable or error.reason != error.status
