"""The resident base as a step sees it: backend, forward pass, attention, KV cache and runner."""

from parfocal.engine.model.attention import (
    ATTENTION,
    AttentionWork,
    NewTokens,
    Scoring,
    register_attention,
)
from parfocal.engine.model.forward import AheadForward, Forward
from parfocal.engine.model.kv_cache import KvCache, KvShape
from parfocal.engine.model.linears import Kept, LinearLayout, put
from parfocal.engine.model.model_forward import ModelForward
from parfocal.engine.model.norms import RmsNorm, rms_norm_of
from parfocal.engine.model.profile import ModuleProfile, StepProfile
from parfocal.engine.model.prompt_reader import PromptReader
from parfocal.engine.model.resident import Backend, BaseInfo, Computing, ResidentBase, StepMemory
from parfocal.engine.model.runner import Runner
from parfocal.engine.model.step_work import StepWork
from parfocal.engine.model.token_by_token import TokenByToken
from parfocal.engine.model.workspace import FLOAT_BYTES, activation_bytes, query_heads

__all__ = [
    "ATTENTION",
    "FLOAT_BYTES",
    "AheadForward",
    "AttentionWork",
    "Backend",
    "BaseInfo",
    "Computing",
    "Forward",
    "Kept",
    "KvCache",
    "KvShape",
    "LinearLayout",
    "ModelForward",
    "ModuleProfile",
    "NewTokens",
    "PromptReader",
    "ResidentBase",
    "RmsNorm",
    "Runner",
    "Scoring",
    "StepMemory",
    "StepProfile",
    "StepWork",
    "TokenByToken",
    "activation_bytes",
    "put",
    "query_heads",
    "register_attention",
    "rms_norm_of",
]
