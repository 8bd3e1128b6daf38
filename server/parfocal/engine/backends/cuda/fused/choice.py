"""Decides once whether a base's layers are fused here: by a plan, and a trial against transformers."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass

import torch

from parfocal.engine.adapters import Place
from parfocal.engine.backends.cuda.fallback import Guarded, Report, Trial, choose
from parfocal.engine.backends.cuda.fused.decoder import FusedDecoder
from parfocal.engine.backends.cuda.fused.forward import FusedForward, FusedStates, FusedWork
from parfocal.engine.backends.cuda.fused.plan import NotFused, plan_of
from parfocal.engine.backends.cuda.fused.shrink_choice import Examples, Timing, choose_shrinking
from parfocal.engine.backends.cuda.lora import PageStore
from parfocal.engine.errors import NoRoom
from parfocal.engine.lora import LoraWeights, ModuleWeights
from parfocal.engine.model import Forward, KvCache, ResidentBase
from parfocal.engine.scheduling import LaidRow, Plan, PlanRow, lay_out

log = logging.getLogger(__name__)

# The two ways round at different places, layer after layer, in types of 8 and 11 bits.
_TOLERANCES = {torch.float32: 1e-3, torch.float16: 2.0**-6, torch.bfloat16: 2.0**-4}
_RANK = 16
_SIZE = 0.1
# So many that the card's cache does not hold what they are measured by.
_TIMED_ADAPTERS = 16


@dataclass(frozen=True, slots=True)
class Fused:
    """A base's fused layers: as a graph captures them, and as a forward pass over any batch."""

    decoder: FusedDecoder
    forward: Forward


@dataclass(frozen=True, slots=True)
class StepParts:
    """What steps use: the adapters' store, the cache, and what prepares a step's work.

    With `timing`, where adapters shrink is chosen by measurement.
    """

    store: PageStore
    cache: KvCache
    work: FusedWork
    max_rank: int
    timing: Timing | None = None


def choose_fused(
    base: ResidentBase, parts: StepParts, plain: Forward, report: Report, *, invariant: bool
) -> Fused | None:
    """The base's fused layers; None if it has no plan, or if their numbers differ from `plain`'s here.

    At a failure later on, `plain` takes over, unless the forward pass is `invariant`: then it raises.
    """
    shape = base.kv_shape
    try:
        plan = plan_of(base.model, shape.heads, shape.head_dim)
    except NotFused as reason:
        log.info("layers of %s are computed by transformers' modules: %s", base.info.architecture, reason)
        return None
    decoder = FusedDecoder(base, plan, parts.cache)
    states = FusedStates(base, decoder, parts.work)
    tried: Forward = FusedForward(states, plain)
    with ExitStack() as trying:
        places = _adapters(base, parts, trying)
        examples = Examples(parts.store, places, min(_RANK, parts.max_rank), base.dtype)

        def fast() -> Forward:
            choose_shrinking(plan.projections, examples, parts.timing, report)
            return tried

        chosen = choose("layers", fast, plain, _trial(base, parts, places[0]), report)
    if chosen is plain:
        return None
    log.info("layers of %s are computed by fused operations", base.info.architecture)
    if invariant:
        return Fused(decoder, tried)
    return Fused(decoder, FusedForward(Guarded("layers", states, plain.states, report), plain))


def _trial(base: ResidentBase, parts: StepParts, place: Place) -> Trial[Forward]:
    """Two tokens under an adapter, and beside them one of the base that sees theirs."""
    blocks = tuple(range(-(-3 // parts.cache.block_tokens)))
    rows = (
        PlanRow("trial", (1, 2), 0, blocks, place, None),
        PlanRow("trial", (3,), 2, blocks, None, None),
    )
    laid: list[LaidRow] = lay_out(Plan(rows))
    return Trial(lambda forward: forward.logits(laid, [0, 1, 2]), _TOLERANCES[base.dtype])


def _adapters(base: ResidentBase, parts: StepParts, until: ExitStack) -> list[Place]:
    """The places of as many adapters as are asked for and find room, `until` the scope ends."""
    store, most = parts.store, 1 if parts.timing is None else min(_TIMED_ADAPTERS, len(parts.store.table))
    places: list[Place] = []
    for seed in range(most):
        try:
            places.append(store.copy_in(store.lay_out(_adapter(base, parts, seed))))
        except NoRoom:
            if not places:
                raise
            break
        until.callback(store.free, places[-1])
    return places


def _adapter(base: ResidentBase, parts: StepParts, seed: int) -> LoraWeights:
    """A small random adapter of the first layer, which every kernel of a layer has to do with."""
    draw = torch.Generator().manual_seed(seed)
    rank, dtype = min(_RANK, parts.max_rank), parts.store.read_dtype
    first, _, _ = next(iter(base.shapes)).partition(".layers.0.")
    modules = {
        path: ModuleWeights(
            (torch.randn(rank, wide, generator=draw) / wide**0.5).to(dtype),
            (torch.randn(tall, rank, generator=draw) * _SIZE).to(dtype),
        )
        for path, (wide, tall) in base.shapes.items()
        if path.startswith(f"{first}.layers.0.")
    }
    return LoraWeights(f"trial-{seed}", modules)
