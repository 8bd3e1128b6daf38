"""What the engine refuses, and why. Knows no gRPC: `status` is a canonical code's name.

EngineError
├── InvalidRequest          INVALID_ARGUMENT      a field of the request is out of its range
│   ├── PromptTooLong       INVALID_ARGUMENT      prompt and answer exceed the context
│   ├── ChatRefused         INVALID_ARGUMENT      the chat template refuses the messages
│   ├── RequestTooLarge     INVALID_ARGUMENT      it could never fit the KV cache
│   └── ConstraintRefused   INVALID_ARGUMENT      its constraint is wrong, not supported or too large
├── NoChatTemplate          FAILED_PRECONDITION   a chat was sent where there is no chat template
├── ConstraintsUnavailable  FAILED_PRECONDITION   no constraint can be kept here
├── ConstraintFailed        FAILED_PRECONDITION   no token may follow that its constraint allows
├── QueueFull               RESOURCE_EXHAUSTED    too many requests wait already
├── EngineDraining          UNAVAILABLE           the engine is stopping
├── EngineFailed            UNAVAILABLE           the engine has ended: it computes nothing any more
│   └── DeviceLost          UNAVAILABLE           because its device is lost
├── AdapterRefused          FAILED_PRECONDITION   the adapter does not fit the base, or is unsupported
│   └── AdapterCorrupt      DATA_LOSS             its files are not what they say
├── AdapterUnavailable      UNAVAILABLE           its files could not be fetched
├── BaseRefused             FAILED_PRECONDITION   the base's architecture or options are not supported
│   └── DeviceAbsent        FAILED_PRECONDITION   the machine has no such device now
├── EngineMisconfigured     FAILED_PRECONDITION   the settings leave no room for a single request
├── StepFailed              INTERNAL              the model failed while computing this request
└── SendingFailed           INTERNAL              the answer could not be turned into text, or not be sent

`NoRoom` is not among them: it never leaves the engine.
"""

from typing import ClassVar


class NoRoom(Exception):
    """Other adapters hold the device's memory at the moment. Internal to the engine, never a reply."""


class EngineError(Exception):
    """Base of everything the engine raises on purpose."""

    status: ClassVar[str] = "INTERNAL"
    reason: ClassVar[str] = "ENGINE_ERROR"
    # Seconds after which the same request may succeed; None where trying again does not help.
    retry_after_s: float | None = None

    def __init__(self, message: str, *, field: str | None = None, **metadata: str) -> None:
        super().__init__(message)
        self.field = field
        self.metadata = metadata


class InvalidRequest(EngineError):
    """A field of the request is out of its range; `field` names it."""

    status = "INVALID_ARGUMENT"
    reason = "INVALID_REQUEST"


class PromptTooLong(InvalidRequest):
    """The prompt leaves no room for one new token in the base's context."""

    reason = "PROMPT_TOO_LONG"


class ChatRefused(InvalidRequest):
    """The chat template refuses these messages, fails on them, or takes too long or too much memory."""

    reason = "CHAT_REFUSED"


class ConstraintRefused(InvalidRequest):
    """What an answer is to look like is wrong in itself, asks for what is not supported, or is too large."""

    reason = "CONSTRAINT_REFUSED"


class ConstraintsUnavailable(EngineError):
    """Answers cannot be held to a constraint here: the library is missing, or the tokenizer is unknown."""

    status = "FAILED_PRECONDITION"
    reason = "CONSTRAINTS_UNAVAILABLE"


class ConstraintFailed(EngineError):
    """The answer cannot go on: its constraint allows no token here, or takes too long to tell."""

    status = "FAILED_PRECONDITION"
    reason = "CONSTRAINT_FAILED"


class NoChatTemplate(EngineError):
    """A chat was sent, but neither the base nor the adapter has a chat template."""

    status = "FAILED_PRECONDITION"
    reason = "NO_CHAT_TEMPLATE"


class RequestTooLarge(InvalidRequest):
    """Prompt and answer together could never fit the KV cache of this server."""

    reason = "REQUEST_TOO_LARGE"


class QueueFull(EngineError):
    """Too many requests wait; `retry_after_s` is a hint in seconds."""

    status = "RESOURCE_EXHAUSTED"
    reason = "QUEUE_FULL"

    def __init__(self, message: str, *, retry_after_s: float, **metadata: str) -> None:
        super().__init__(message, **metadata)
        self.retry_after_s = retry_after_s


class EngineDraining(EngineError):
    """The engine is stopping and takes no new requests."""

    status = "UNAVAILABLE"
    reason = "DRAINING"
    retry_after_s = 1.0


class EngineFailed(EngineError):
    """The engine has ended by itself and answers nothing any more; another server may."""

    status = "UNAVAILABLE"
    reason = "ENGINE_FAILED"
    retry_after_s = 5.0  # whatever watches the process starts it again, and the base loads from its cache


class DeviceLost(EngineFailed):
    """The device that computes is lost to this process: every later call to it would fail too."""

    reason = "DEVICE_LOST"


class AdapterRefused(EngineError):
    """The adapter does not fit the resident base, or needs something that is not supported."""

    status = "FAILED_PRECONDITION"
    reason = "ADAPTER_REFUSED"


class AdapterCorrupt(AdapterRefused):
    """The adapter's files are truncated or contradict themselves."""

    status = "DATA_LOSS"
    reason = "ADAPTER_CORRUPT"


class AdapterUnavailable(EngineError):
    """The adapter's files could not be fetched."""

    status = "UNAVAILABLE"
    reason = "ADAPTER_UNAVAILABLE"
    retry_after_s = 2.0  # the registry's machine or the disk may answer again


class BaseRefused(EngineError):
    """The base cannot be served: its architecture or an option of it is not supported."""

    status = "FAILED_PRECONDITION"
    reason = "BASE_REFUSED"


class DeviceAbsent(BaseRefused):
    """torch sees no such device now: there is none, or its driver is not there yet."""

    reason = "DEVICE_ABSENT"


class EngineMisconfigured(EngineError):
    """The settings leave no room for a single request; `field` names one that is wrong by itself."""

    status = "FAILED_PRECONDITION"
    reason = "ENGINE_MISCONFIGURED"


class StepFailed(EngineError):
    """The model failed while computing this request; other requests go on."""

    status = "INTERNAL"
    reason = "STEP_FAILED"


class SendingFailed(EngineError):
    """The answer could not be turned into text, or not be sent; other requests go on."""

    status = "INTERNAL"
    reason = "SENDING_FAILED"
