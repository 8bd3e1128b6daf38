"""A step's workspace is what the largest steps took beside what stays, at any context."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine.adapters.slots import Place
from parfocal.engine.backends.cuda.steps.step_peak import Measured, MeasuredWorkspace, largest_plans
from parfocal.engine.backends.torch import TorchStepWork, at_most
from parfocal.engine.config import EngineConfig
from parfocal.engine.loading import load_base
from parfocal.engine.lora import LoraStore, LoraWeights, ModuleWeights
from parfocal.engine.model import KvCache, ModelForward, ResidentBase
from parfocal.engine.scheduling.plan import LaidRow

CONFIG = EngineConfig(device="cpu", kernels="torch", max_requests=4, max_batch_tokens=48, max_rank=5)


@pytest.fixture(scope="module")
def base(llama_base: Path) -> ResidentBase:
    """Returns a small base that torch computes."""
    return load_base(llama_base, CONFIG)


class Told:
    """A device whose most bytes are told beforehand, one number for each step; the steps are run."""

    def __init__(self, most: Sequence[int | Exception]) -> None:
        self._most = list(most)

    def most_bytes(self, work: Callable[[], object]) -> int:
        work()
        most = self._most.pop(0)
        if isinstance(most, Exception):
            raise most
        return most


def _zeros(base: ResidentBase, rank: int) -> LoraWeights:
    modules = {
        path: ModuleWeights(torch.zeros(rank, wide), torch.zeros(tall, rank))
        for path, (wide, tall) in base.shapes.items()
    }
    return LoraWeights("zeros", modules)


class Watched:
    """The model's own forward pass, which keeps what it is given and answers."""

    def __init__(self) -> None:
        self.laid: list[list[LaidRow]] = []
        self.stays = 0

    def __call__(self, base: ResidentBase, config: EngineConfig, cache: KvCache) -> Measured:
        store = LoraStore(base.shapes, base.adapter_dtype, base.device, slab_slots=1)
        place = store.put(_zeros(base, config.max_rank))
        self._inner = ModelForward(base, TorchStepWork(cache, store.slabs, base.device))
        kept = sum(tensor.nbytes for tensor in (*cache.keys, *cache.values))
        self.stays = base.info.memory_bytes + kept + store.size_bytes
        return Measured(self, place, store.size_bytes)

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        self.laid.append(laid)
        answer = self._inner.logits(laid, last)
        assert answer.isfinite().all()
        return answer

    def states(self, laid: list[LaidRow], places: list[int]) -> torch.Tensor:
        return self._inner.states(laid, places)

    def head(self, states: torch.Tensor) -> torch.Tensor:
        return self._inner.head(states)


def test_the_workspace_grows_from_the_short_measurement_to_the_long_one(base: ResidentBase) -> None:
    watched = Watched()
    MeasuredWorkspace(watched, Told([0] * 4))(base, CONFIG)
    stays = watched.stays
    taken = MeasuredWorkspace(watched, Told([stays + 700, stays + 900, stays + 5000, stays + 4000]))(
        base, CONFIG
    )

    assert taken.size_bytes(base.info.context_tokens) >= 5000
    assert taken.fixed_bytes == 900
    assert taken.size_bytes(base.info.context_tokens) < 5000 + base.info.context_tokens


def test_a_step_that_does_not_grow_has_a_fixed_workspace(base: ResidentBase) -> None:
    watched = Watched()
    MeasuredWorkspace(watched, Told([0] * 4))(base, CONFIG)
    taken = MeasuredWorkspace(watched, Told([watched.stays + 900] * 4))(base, CONFIG)

    assert (taken.fixed_bytes, taken.context_token_bytes) == (900, 0)


def test_both_contexts_are_run_with_all_tokens_adapted_and_drawn(base: ResidentBase) -> None:
    watched = Watched()
    MeasuredWorkspace(watched, Told([0] * 4))(base, CONFIG)

    assert [laid[-1].length for laid in watched.laid] == [48, 48, 512, 512]
    for laid in watched.laid:
        assert sum(item.tokens for item in laid) == 48
        assert all(item.row.place is not None and item.row.sampling is not None for item in laid)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("no kernel image"), OSError("no assembler")],
)
def test_what_does_not_fit_or_run_is_reckoned(base: ResidentBase, error: Exception) -> None:
    assert MeasuredWorkspace(Watched(), Told([0, 0, error]))(base, CONFIG) == at_most(base, CONFIG)


@given(st.integers(1, 20), st.integers(1, 100), st.integers(1, 60), st.integers(1, 16))
def test_the_largest_plans_are_as_full_as_the_settings_allow(
    requests: int, tokens: int, context: int, block: int
) -> None:
    config = EngineConfig(max_requests=requests, max_batch_tokens=tokens, block_tokens=block)
    fewest, most = largest_plans(config, context, Place(0, 0))

    assert len(most.rows) >= min(requests, tokens)
    for plan in (fewest, most):
        assert plan.tokens == min(tokens, context * requests)
        assert len(plan.rows) <= requests
        for row in plan.rows:
            assert row.start + len(row.token_ids) == context <= len(row.blocks) * block
    assert len(fewest.rows) == min(requests, -(-tokens // context))
