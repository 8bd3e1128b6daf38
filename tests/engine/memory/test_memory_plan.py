"""What the table of memory says is what an engine then allocates, and no step takes more than its bound."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fakes.engine.folder_source import FolderSource
from oracle.bases import configurations, write_base
from oracle.engines import run_all
from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.engine import AdapterKey, EngineConfig, EngineMisconfigured, Pooling, Request, Sampling, Stop
from parfocal.engine.adapters.slots import Place
from parfocal.engine.devices import machine_bytes
from parfocal.engine.loading import build_engine, load_base, plan_memory
from parfocal.engine.loading.held_bytes import held_bytes
from parfocal.engine.lora.adapter_files import LoraWeights, ModuleWeights
from parfocal.engine.lora.store import LoraStore, adapter_bytes_at_worst, slab_sizes
from parfocal.engine.model import ResidentBase

CPU = torch.device("cpu")
KINDS = [
    ("llama", "auto", "auto"),
    ("llama", "float32", "auto"),
    ("llama", "bfloat16", "auto"),
    ("gemma3", "auto", "torch"),
]


def _storages() -> dict[int, int]:
    """Returns the memory of every tensor that Python can reach, by address."""
    gc.collect()
    # By its type: to ask some libraries' lazy modules for their class is to import them.
    tensors = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
    found = [each.untyped_storage() for each in tensors if each.device == CPU]
    return {storage.data_ptr(): storage.nbytes() for storage in found}


@pytest.mark.parametrize(("kind", "dtype", "kernels"), KINDS)
def test_the_bases_part_is_all_that_loading_it_left_in_memory(
    tmp_path: Path, kind: str, dtype: str, kernels: str
) -> None:
    folder = write_base(tmp_path / kind, configurations(layers=2)[kind])
    config = EngineConfig(device="cpu", dtype=dtype, kernels=kernels)
    load_base(folder, config)  # bitsandbytes keeps its table of numbers from then on
    before = _storages()
    base = load_base(folder, config)
    added = {address: size for address, size in _storages().items() if address not in before}

    assert base.info.memory_bytes == held_bytes(base.model) == sum(added.values())


@pytest.fixture(scope="module")
def base(llama_base: Path) -> ResidentBase:
    """Returns a small base, as `auto` loads it."""
    return load_base(llama_base, EngineConfig(device="cpu"))


def test_the_caches_part_is_what_its_tensors_take(base: ResidentBase) -> None:
    config = EngineConfig(device="cpu", memory_bytes=64 << 20, max_rank=8)
    table = plan_memory(base, config)
    before = _storages()
    engine = build_engine(base, config, FolderSource({}))
    added = {address: size for address, size in _storages().items() if address not in before}
    engine.close()

    assert sum(added.values()) == table.kv_bytes
    assert table.kv_tokens == table.kv_blocks * config.block_tokens > 0
    assert table.total_bytes <= 64 << 20


def _adapter(base: ResidentBase, rank: int) -> LoraWeights:
    modules = {
        path: ModuleWeights(torch.ones(rank, wide), torch.ones(tall, rank))
        for path, (wide, tall) in base.shapes.items()
    }
    return LoraWeights(f"rank {rank}", modules)


def _adapter_bytes(base: ResidentBase, slots: int, max_rank: int) -> int:
    config = EngineConfig(device="cpu", slots=slots, max_rank=max_rank, memory_bytes=1 << 30)
    return plan_memory(base, config).adapter_bytes


@pytest.mark.parametrize("slots", [1, 3, 16])
def test_the_adapters_part_is_what_the_worst_history_takes(base: ResidentBase, slots: int) -> None:
    store = LoraStore(base.shapes, base.adapter_dtype, CPU, slab_slots=min(16, slots))
    kept = 0
    for rank in (13, 8, 1):
        places = [store.put(_adapter(base, rank)) for _ in range(slots - kept)]
        alone = {place.slab: place for place in places}.values()
        for place in places:
            if place not in alone:
                store.free(place)
        kept += len(alone)

    assert store.size_bytes == _adapter_bytes(base, slots, 13)


def test_by_default_the_adapters_part_is_what_adapters_of_the_highest_rank_take(base: ResidentBase) -> None:
    numbers = sum(sum(shape) for shape in base.shapes.values())
    halves, integers = (replace(base, adapter_dtype=dtype) for dtype in (torch.bfloat16, torch.int16))

    assert _adapter_bytes(halves, 16, 256) == 16 * 256 * numbers * 2
    scales = _adapter_bytes(integers, 16, 256) / _adapter_bytes(halves, 16, 256) - 1
    assert 0 < scales < 0.05


_RANKS = (1, 8, 16, 20, 64, 70, 130)


@settings(max_examples=100)
@given(st.integers(1, 20), st.lists(st.integers(0, 10**6), max_size=60))
def test_no_history_takes_more_than_the_adapters_part(slots: int, plan: list[int]) -> None:
    shapes = {"up": (3, 5), "down": (5, 2)}
    bound = adapter_bytes_at_worst(slab_sizes(shapes, torch.bfloat16, 130, min(16, slots)), slots)
    store = LoraStore(shapes, torch.bfloat16, CPU, slab_slots=min(16, slots))
    held: list[Place] = []
    for number in plan:
        rank = _RANKS[number % len(_RANKS)]
        while len(held) > number % slots:
            store.free(held.pop(number % len(held)))
        modules = {
            path: ModuleWeights(torch.ones(rank, wide), torch.ones(tall, rank))
            for path, (wide, tall) in shapes.items()
        }
        while len(held) < slots:
            held.append(store.put(LoraWeights("any", modules)))
            assert store.size_bytes <= bound


def test_a_part_of_the_machine_is_taken_when_no_bytes_are_stated(base: ResidentBase) -> None:
    whole = machine_bytes()
    for fraction, size in ((None, whole // 2), (0.25, whole // 4)):
        table = plan_memory(base, EngineConfig(device="cpu", memory_fraction=fraction))
        assert table.budget is not None
        assert table.budget.size_bytes == size
        assert table.total_bytes <= size
    for fraction in (0.0, 1.01, -1.0):
        with pytest.raises(EngineMisconfigured, match=f"memory_fraction is {fraction}"):
            plan_memory(base, EngineConfig(device="cpu", memory_fraction=fraction))


def test_host_memory_for_adapters_is_a_part_of_the_budget_unless_it_is_stated(base: ResidentBase) -> None:
    default = plan_memory(base, EngineConfig(device="cpu", memory_bytes=1 << 28, max_rank=8))
    left = (1 << 28) - default.base_bytes - default.adapter_bytes
    stated = EngineConfig(device="cpu", memory_bytes=1 << 28, max_rank=8, host_cache_bytes=12345)

    assert default.host_bytes == left // 8
    assert default.total_bytes <= 1 << 28
    assert plan_memory(base, stated).host_bytes == 12345
    with pytest.raises(EngineMisconfigured, match="host_cache_bytes is -1"):
        plan_memory(base, EngineConfig(device="cpu", host_cache_bytes=-1))


def test_a_cache_that_alone_is_stated_knows_no_budget(base: ResidentBase) -> None:
    table = plan_memory(base, EngineConfig(device="cpu", kv_cache_bytes=1 << 20, slots=10**6))

    assert table.budget is None
    assert 0 < table.kv_bytes <= 1 << 20


class _Peak(TorchDispatchMode):
    """Follows the memory of what operations return; what they need inside is not seen."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._alive: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {
            each.untyped_storage().data_ptr() for each in tree_leaves((args, kwargs)) if _is_tensor(each)
        }
        result = func(*args, **(kwargs or {}))
        for tensor in filter(_is_tensor, tree_leaves(result)):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self._alive | given:
                self._alive.add(storage.data_ptr())
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._end, storage.data_ptr(), storage.nbytes())
        return result

    def _end(self, address: int, size: int) -> None:
        self._alive.discard(address)
        self.now -= size


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


@pytest.fixture(scope="module", params=["llama", "gemma2"])
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Returns a base, named "", and its adapters by their rank."""
    root = tmp_path_factory.mktemp(request.param)
    base = write_base(root / "base", configurations(layers=2)[request.param])
    ranks = {rank: write_adapter(root / str(rank), base, AdapterShape(rank), 1) for rank in (4, 16)}
    return {"": base} | {str(rank): folder for rank, folder in ranks.items()}


@pytest.mark.parametrize("kernels", ["auto", "torch"])
def test_no_step_takes_more_than_its_bound(folders: dict[str, Path], kernels: str) -> None:
    config = EngineConfig(
        device="cpu",
        kernels=kernels,
        max_rank=16,
        max_requests=5,
        max_batch_tokens=96,
        prefix_cache=False,
        kv_cache_bytes=1 << 22,
    )
    base = load_base(folders[""], config)
    engine = build_engine(base, config, FolderSource(folders))
    requests = [
        Request(
            str(number),
            tuple(range(2, 2 + length)),
            AdapterKey(digest) if digest else None,
            Sampling(temperature=1.0, top_p=0.9, seed=1),
            Stop(max_tokens=4, ignore_eos=True),
            prompt_logprobs=20 if number == 2 else None,
        )
        for number, (length, digest) in enumerate([(200, "16"), (96, "4"), (200, ""), (9, "16"), (3, "4")])
    ]
    requests += [Request(f"{way}", tuple(range(2, 202)), pooling=way) for way in Pooling]
    assert not run_all(engine, requests).errors
    with _Peak() as peak:
        run_all(engine, requests)
    engine.close()

    assert 10_000 < peak.most <= plan_memory(base, config).workspace_bytes
