"""What each step computes, for which requests, in which blocks: plain values and pure Python, no torch."""

from parfocal.engine.scheduling.admission import MAX_LOGIT_BIASES, MAX_TOP_LOGPROBS, Admission
from parfocal.engine.scheduling.blocks import BlockPool
from parfocal.engine.scheduling.limits import Limits
from parfocal.engine.scheduling.plan import (
    LaidRow,
    LogitBias,
    Plan,
    PlanRow,
    PromptRead,
    Reading,
    SampledToken,
    SamplingRow,
    Segment,
    lay_out,
    merge,
    segments,
    token_places,
    written_places,
)
from parfocal.engine.scheduling.prompt_outputs import PromptOutputs
from parfocal.engine.scheduling.scheduler import Scheduler
from parfocal.engine.scheduling.sequence import Clock, Sequence

__all__ = [
    "MAX_LOGIT_BIASES",
    "MAX_TOP_LOGPROBS",
    "Admission",
    "BlockPool",
    "Clock",
    "LaidRow",
    "Limits",
    "LogitBias",
    "Plan",
    "PlanRow",
    "PromptOutputs",
    "PromptRead",
    "Reading",
    "SampledToken",
    "SamplingRow",
    "Scheduler",
    "Segment",
    "Sequence",
    "lay_out",
    "merge",
    "segments",
    "token_places",
    "written_places",
]
