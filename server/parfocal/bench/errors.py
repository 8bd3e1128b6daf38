"""What stops a bench.

BenchError
├── BadWorkload        INVALID_ARGUMENT      the workload cannot run as asked
├── ServerNotReady     UNAVAILABLE           the server under test did not start
├── CheckoutMissing    FAILED_PRECONDITION   it needs tests/bench of a checkout
└── AnswerWrong        INTERNAL              an answer is not what was asked for, so no figure would hold
"""

from typing import ClassVar


class BenchError(Exception):
    """Base of everything the bench raises on purpose."""

    status: ClassVar[str] = "INTERNAL"
    reason: ClassVar[str] = "BENCH_FAILED"

    def __init__(self, message: str, *, field: str | None = None, **metadata: str) -> None:
        super().__init__(message)
        self.field = field
        self.metadata = metadata


class BadWorkload(BenchError):
    """The workload cannot be run as asked; `field` names the setting at fault."""

    status = "INVALID_ARGUMENT"
    reason = "BAD_WORKLOAD"


class ServerNotReady(BenchError):
    """The server under test ended, or was not healthy in time; the message ends with its last lines."""

    status = "UNAVAILABLE"
    reason = "SERVER_NOT_READY"


class CheckoutMissing(BenchError):
    """What was asked for lies in `tests/bench`, which an installed package does not have."""

    status = "FAILED_PRECONDITION"
    reason = "CHECKOUT_MISSING"


class AnswerWrong(BenchError):
    """An answer has another length, or another adapter, than the workload asks for."""

    reason = "ANSWER_WRONG"
