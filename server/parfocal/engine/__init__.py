"""The engine: one resident 4-bit base, many adapters, one batch. Knows no wire and no registry.

Import from the modules for what is not named here. Heavy parts (torch) come with `base` and `build`.
"""

from .config import EngineConfig
from .errors import (
    AdapterCorrupt,
    AdapterRefused,
    AdapterUnavailable,
    BaseRefused,
    EngineDraining,
    EngineError,
    EngineMisconfigured,
    InvalidRequest,
    PromptTooLong,
    QueueFull,
    RequestTooLarge,
    StepFailed,
)
from .observer import AdapterReport, KernelReport, Observer, RequestReport, SilentObserver, StepReport
from .request import (
    AdapterKey,
    Completion,
    Delta,
    FinishReason,
    Request,
    Sampling,
    Stop,
    Timings,
    TokenLogprob,
)

__all__ = [
    "AdapterCorrupt",
    "AdapterKey",
    "AdapterRefused",
    "AdapterReport",
    "AdapterUnavailable",
    "BaseRefused",
    "Completion",
    "Delta",
    "EngineConfig",
    "EngineDraining",
    "EngineError",
    "EngineMisconfigured",
    "FinishReason",
    "InvalidRequest",
    "KernelReport",
    "Observer",
    "PromptTooLong",
    "QueueFull",
    "Request",
    "RequestReport",
    "RequestTooLarge",
    "Sampling",
    "SilentObserver",
    "StepFailed",
    "StepReport",
    "Stop",
    "Timings",
    "TokenLogprob",
]
