"""What stops a bench.

BenchError
├── BadWorkload        INVALID_ARGUMENT      the workload cannot be run as asked
├── ServerNotReady     UNAVAILABLE           the server under test did not start
├── EndpointFailed     UNAVAILABLE           another server did not answer a request
└── AnswerWrong        INTERNAL              an answer is not what was asked for: no figure would be true
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


class EndpointFailed(BenchError):
    """Another server refused a request, or broke off; the message names it and quotes what it said."""

    status = "UNAVAILABLE"
    reason = "ENDPOINT_FAILED"


class AnswerWrong(BenchError):
    """An answer has another length, or another adapter, than the workload asks for."""

    reason = "ANSWER_WRONG"
