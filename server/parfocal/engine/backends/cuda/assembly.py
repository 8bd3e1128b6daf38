"""Assembles the CUDA path from the kernels that pass a trial on this card."""

import logging

import torch

from parfocal.engine.backends.cuda.attention import CudaAttention, choose_attention
from parfocal.engine.backends.cuda.card import Card
from parfocal.engine.backends.cuda.fallback import TOLERANCES, Guarded, Report, Trial, choose
from parfocal.engine.backends.cuda.four_bit import choose_products, joined, unpack
from parfocal.engine.backends.cuda.fused import StepParts, Timing, choose_fused
from parfocal.engine.backends.cuda.groups import columns_of, groups_of
from parfocal.engine.backends.cuda.invariant import is_invariant, make_invariant
from parfocal.engine.backends.cuda.lora import (
    GroupGuard,
    PageStore,
    Room,
    StoreShape,
    Unguarded,
    by_kernels,
    by_torch,
    group_linears,
    lora_trial,
)
from parfocal.engine.backends.cuda.sampling import choose_bends, choose_draws, choose_likeliest
from parfocal.engine.backends.cuda.steps import (
    CudaDecode,
    CudaStepWork,
    DecodeGraphs,
    GraphForward,
    GraphLimits,
    Layers,
    Measured,
    MeasuredWorkspace,
    ModuleLayers,
)
from parfocal.engine.backends.torch import TorchStepWork
from parfocal.engine.config import EngineConfig
from parfocal.engine.model import (
    Computing,
    Forward,
    KvCache,
    ModelForward,
    ResidentBase,
    StepMemory,
    TokenByToken,
    query_heads,
)
from parfocal.engine.scheduling import Plan, PlanRow, lay_out

log = logging.getLogger(__name__)


@torch.inference_mode()
def cuda_parts(
    base: ResidentBase, config: EngineConfig, memory: StepMemory, report: Report, card: Card
) -> Computing:
    """Returns the fastest parts that are correct on the card; calls `report` for every kernel it rejects.

    Replaces the base's linears. To be deterministic, all kernels must be right; otherwise tokens are computed
    one by one.
    """
    cache, invariant = memory.cache, config.deterministic
    likeliest = choose_likeliest(base.device, report)
    bends = choose_bends(base.device, likeliest, report)
    choosing = likeliest, choose_draws(base.device, report), bends
    store = _prepared(base, config, Room(config.slots, memory.adapter_bytes), report, card)
    attention = CudaAttention(cache, query_heads(base), card.processors, singly=invariant)
    plain = TorchStepWork(cache, {}, base.device)
    attend, right = choose_attention(base, attention, plain.attention, report)
    guard = _lora_guard(base, report, invariant)
    work = CudaStepWork(store, config.max_rank, attend, guard, invariant=invariant)
    eager: Forward = ModelForward(base, work)
    all_right = right and guard is not None
    if invariant and not (all_right and is_invariant(base.model)):
        log.warning("deterministic: for want of kernels, tokens are computed one by one, which is slow")
        return Computing(TokenByToken(eager, cache.block_tokens), store, *choosing)
    if not all_right:
        return Computing(eager, store, *choosing)
    layers: Layers = ModuleLayers(base)
    timing = None if card.side is None else Timing(card.side, card.capturer, card.clock)
    parts = StepParts(store, cache, work, config.max_rank, timing)
    fused = choose_fused(base, parts, eager, report, invariant=invariant)
    if fused is not None:
        layers, eager = fused.decoder, fused.forward
    decode = CudaDecode(layers, store, attention, config.max_rank)
    blocks = -(-base.info.context_tokens // cache.block_tokens)
    shares = fused is not None and not invariant
    limits = GraphLimits(config.max_requests, blocks, cache.block_tokens, shares)
    graphs = DecodeGraphs(decode, card.capturer, limits, base.device)
    forward = _with_graphs(base, eager, graphs, report)
    # Only a captured step is queued faster than it is computed.
    ahead = forward if isinstance(forward, GraphForward) else None
    return Computing(forward, store, *choosing, ahead=ahead)


def measured_workspace(card: Card, report: Report) -> MeasuredWorkspace:
    """Returns what measures a step's workspace by running the largest steps, before most kernels are tried.

    `report` gets the linears that are rejected: those are replaced now, and not tried again.
    """

    def make(base: ResidentBase, config: EngineConfig, cache: KvCache) -> Measured:
        store = _prepared(base, config, None, report, card)
        invariant = config.deterministic
        attention = CudaAttention(cache, query_heads(base), card.processors, singly=invariant)
        # Too little memory must end the measurement, not disable a kernel.
        work = CudaStepWork(store, config.max_rank, attention.step, Unguarded(), invariant=invariant)
        forward = ModelForward(base, work)
        return Measured(forward, store.copy_in(store.zeros(config.max_rank)), store.size_bytes)

    return MeasuredWorkspace(make, card.peak)


def _prepared(
    base: ResidentBase, config: EngineConfig, room: Room | None, report: Report, card: Card
) -> PageStore:
    """Returns a store of that size, at least a page; switches and groups the base's linears, once."""
    groups = groups_of(base.shapes)
    if config.deterministic:
        unpack(base.model)
    if not (config.deterministic and make_invariant(base.model, report)):
        choose_products(base.model, config.max_batch_tokens, card.clock, report)
    group_linears(base.model, groups, base.active, joined)
    shape = StoreShape(base.shapes, base.adapter_dtype, config.max_rank, base.device)
    one = Room(1, shape.page_bytes)
    return PageStore(columns_of(groups), shape, room or one, card.copies)


def _lora_guard(base: ResidentBase, report: Report, invariant: bool) -> GroupGuard | None:
    """Returns what adds adapters; None for plain torch, to which an invariant step may not turn later."""
    trial = lora_trial(base.dtype, base.adapter_dtype, base.device)
    # Tried unguarded: a guard would let plain torch pass the trial.
    if choose("lora", Unguarded, None, trial, report) is None:
        return None
    return Unguarded() if invariant else Guarded("lora", by_kernels, by_torch, report)


def _with_graphs(base: ResidentBase, eager: Forward, graphs: DecodeGraphs, report: Report) -> Forward:
    """Returns decoding by CUDA graphs, unless a step cannot be captured or its replay differs."""
    laid = lay_out(Plan((PlanRow("trial", (1,), 0, (0,), None, None),)))

    def captured() -> Forward:
        seconds = graphs.capture()
        log.info("%d decode graphs captured in %.1f s", len(graphs), seconds)
        return GraphForward(eager, graphs, base.backend.watch)

    trial = Trial[Forward](lambda forward: forward.logits(laid, [0]), TOLERANCES[base.dtype])
    return choose("graphs", captured, eager, trial, report)
