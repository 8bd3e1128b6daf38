"""The engine: one resident 4-bit base, many adapters, one batch. Knows no wire and no registry.

No torch comes with it: `parfocal.engine.loading` loads a base and builds an engine.
"""

from parfocal.engine.adapter_folder import AdapterFolder, RankAndScale
from parfocal.engine.adapters import MAX_BLENDED, blend
from parfocal.engine.base_cache import BaseCache, CachedBase
from parfocal.engine.config import EngineConfig
from parfocal.engine.declared import Bounds, declare, declared_by
from parfocal.engine.engine import Engine
from parfocal.engine.errors import (
    AdapterCorrupt,
    AdapterRefused,
    AdapterUnavailable,
    BaseRefused,
    ChatRefused,
    ConstraintFailed,
    ConstraintRefused,
    ConstraintsUnavailable,
    DeviceAbsent,
    DeviceLost,
    EngineDraining,
    EngineError,
    EngineFailed,
    EngineMisconfigured,
    InvalidRequest,
    NoChatTemplate,
    PromptTooLong,
    QueueFull,
    RequestTooLarge,
    SendingFailed,
    StepFailed,
)
from parfocal.engine.library_noise import calm_libraries, hide_loading_bars, quiet_libraries
from parfocal.engine.observer import (
    KERNELS,
    AdapterReport,
    KernelReport,
    LoadReport,
    Observer,
    RequestReport,
    SilentObserver,
    StepReport,
)
from parfocal.engine.parts import AdapterStatus
from parfocal.engine.quick_imports import quick_imports
from parfocal.engine.request import (
    AdapterKey,
    Completion,
    Delta,
    FinishReason,
    Pooling,
    Request,
    Sampling,
    Stop,
    Timings,
    TokenLogprob,
)
from parfocal.engine.thread import EngineThread
from parfocal.engine.waiting import wait_briefly

__all__ = [
    "KERNELS",
    "MAX_BLENDED",
    "AdapterCorrupt",
    "AdapterFolder",
    "AdapterKey",
    "AdapterRefused",
    "AdapterReport",
    "AdapterStatus",
    "AdapterUnavailable",
    "BaseCache",
    "BaseRefused",
    "Bounds",
    "CachedBase",
    "ChatRefused",
    "Completion",
    "ConstraintFailed",
    "ConstraintRefused",
    "ConstraintsUnavailable",
    "Delta",
    "DeviceAbsent",
    "DeviceLost",
    "Engine",
    "EngineConfig",
    "EngineDraining",
    "EngineError",
    "EngineFailed",
    "EngineMisconfigured",
    "EngineThread",
    "FinishReason",
    "InvalidRequest",
    "KernelReport",
    "LoadReport",
    "NoChatTemplate",
    "Observer",
    "Pooling",
    "PromptTooLong",
    "QueueFull",
    "RankAndScale",
    "Request",
    "RequestReport",
    "RequestTooLarge",
    "Sampling",
    "SendingFailed",
    "SilentObserver",
    "StepFailed",
    "StepReport",
    "Stop",
    "Timings",
    "TokenLogprob",
    "blend",
    "calm_libraries",
    "declare",
    "declared_by",
    "hide_loading_bars",
    "quick_imports",
    "quiet_libraries",
    "wait_briefly",
]
