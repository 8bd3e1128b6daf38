"""On a GPU: QLoRA learns through the base that serves, on its own memory, and leaves it as it was."""

from pathlib import Path

import pytest
import torch

from fakes.engine.folder_source import FolderSource
from oracle.engines import run_all
from oracle.resident_training import train_steps, trainable_base, with_fresh_adapter
from parfocal.engine import EngineConfig, Request, Stop
from parfocal.engine.engine import Engine
from parfocal.engine.loading import build_engine, load_base

pytestmark = pytest.mark.gpu

# Without a prefix cache, or the second answer would rest on what the first has left.
CONFIG = EngineConfig(device="cuda", kv_cache_bytes=1 << 22, prefix_cache=False)
STEPS = 12


def test_the_loss_falls_through_the_resident_base_which_serves_on_unchanged(llama_base: Path) -> None:
    resident = load_base(llama_base, CONFIG)
    held = torch.cuda.memory_allocated()
    # Before an engine switches the linears to its own ways of computing on the same tensors.
    model = trainable_base(resident, llama_base)
    added = torch.cuda.memory_allocated() - held
    engine = build_engine(resident, CONFIG, FolderSource({}))
    before = _answer(engine, "before")
    rows = torch.randint(256, (4, 32), generator=torch.Generator().manual_seed(0)).cuda()
    steps = train_steps(with_fresh_adapter(model, rank=8), rows, STEPS, rate=1e-2)

    assert added < resident.info.memory_bytes // 100, "the base lies in memory twice"
    assert steps[-1].loss < 0.8 * steps[0].loss
    assert _answer(engine, "after") == before


def _answer(engine: Engine, name: str) -> tuple[int, ...]:
    request = Request(name, tuple(range(40)), stop=Stop(max_tokens=10, ignore_eos=True))
    return run_all(engine, [request]).completions[name].token_ids
