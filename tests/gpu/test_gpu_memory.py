"""On a GPU: ten thousand adapters come and go, and the device's memory is what it was."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from fakes.engine.folder_source import FolderSource
from oracle.bases import VOCABULARY, write_base
from oracle.engines import run_all
from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.engine import AdapterKey, AdapterReport, EngineConfig, Request, SilentObserver, Stop
from parfocal.engine.loading import build_engine, load_base

pytestmark = pytest.mark.gpu

SWAPS = 10_000
SLOTS = 8
# All sizes, so that pages are taken and given back in every order.
RANKS = (1, 4, 7, 8, 16, 16, 33, 64, 129, 16, 8, 5, 20, 64, 129, 2, 16, 12, 30, 9, 6, 3, 48, 40)
# torch takes memory from the driver in pieces; loads on two threads may need one more than the first ones.
SEGMENT_BYTES = 20 << 20


@dataclass
class Loads(SilentObserver):
    """Counts what happens to adapters."""

    events: Counter[str] = field(default_factory=Counter)

    def adapter(self, report: AdapterReport) -> None:
        self.events[report.event] += 1


@dataclass
class Memory:
    """What torch holds of the device after each round of loads, in bytes."""

    allocated: list[int] = field(default_factory=list)
    reserved: list[int] = field(default_factory=list)

    def note(self) -> None:
        torch.cuda.synchronize()
        self.allocated.append(torch.cuda.memory_allocated())
        self.reserved.append(torch.cuda.memory_reserved())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of one layer: what costs time here is loading."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=192,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
    )
    return write_base(tmp_path_factory.mktemp("base") / "llama", config)


def test_memory_is_flat_after_ten_thousand_swaps(base: Path, tmp_path: Path) -> None:
    folders = {
        f"a{number}": write_adapter(tmp_path / str(number), base, AdapterShape(rank), number)
        for number, rank in enumerate(RANKS)
    }
    config = EngineConfig(device="cuda", slots=SLOTS, kv_cache_bytes=1 << 22, host_cache_bytes=1 << 30)
    loads, memory = Loads(), Memory()
    resident = load_base(base, config)
    engine = build_engine(resident, config, FolderSource(folders), loads)

    while loads.events["loaded"] < SWAPS:
        # One adapter after the other, each with more others in between than there are slots.
        run_all(engine, [_request(digest, len(memory.allocated)) for digest in folders])
        memory.note()

    settled = len(memory.allocated) // 10
    assert loads.events["evicted"] > SWAPS - len(folders)
    assert max(memory.allocated[settled:]) <= max(memory.allocated[:settled])
    assert max(memory.reserved[settled:]) <= max(memory.reserved[:settled]) + SEGMENT_BYTES


def _request(digest: str, number: int) -> Request:
    stop = Stop(max_tokens=1, ignore_eos=True)
    return Request(f"{digest}-{number}", (1, 2, 3), AdapterKey(digest), stop=stop)
