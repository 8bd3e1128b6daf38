"""Adapters load beside the steps: slow, failing or corrupt ones cost only their own requests."""

import gc
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from fakes.engine.folder_source import described
from oracle.engines import Collector
from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.engine import (
    AdapterCorrupt,
    AdapterFolder,
    AdapterKey,
    AdapterRefused,
    AdapterUnavailable,
    EngineConfig,
    FinishReason,
    Request,
    Stop,
)
from parfocal.engine.adapters.loads import LoadAdvanced, Loaded, LoadEnded, PrefetchEnded
from parfocal.engine.adapters.slots import SlotState
from parfocal.engine.engine import Engine
from parfocal.engine.loading import build_engine, load_base
from parfocal.engine.lora.loader import AdapterLoader
from parfocal.engine.lora.store import LoraStore, Slab
from parfocal.engine.model import ResidentBase

PATIENCE_SECONDS = 60.0
CONFIG = EngineConfig(device="cpu", dtype="float32", kv_cache_bytes=1 << 22, max_rank=16, load_threads=1)


class NotThere(Exception):
    """A source's own refusal: it has a status and a reason."""

    status = "NOT_FOUND"
    reason = "NOT_THERE"


@dataclass
class Source:
    """Gives folders by digest, but only once `gate` is open; an exception in a folder's place is raised."""

    folders: dict[str, AdapterFolder | Exception]
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)

    def folder(self, adapter: AdapterKey) -> AdapterFolder:
        self.asked.append(adapter.digest)
        self.entered.set()
        assert self.gate.wait(PATIENCE_SECONDS)
        found = self.folders[adapter.digest]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture(scope="module")
def base(llama_base: Path) -> ResidentBase:
    return load_base(llama_base, CONFIG)


@pytest.fixture(scope="module")
def good(llama_base: Path, tmp_path_factory: pytest.TempPathFactory) -> AdapterFolder:
    folder = tmp_path_factory.mktemp("adapters") / "good"
    return described(write_adapter(folder, llama_base, AdapterShape(4), seed=1))


class Stage:
    """A real engine on a source, and requests to it."""

    def __init__(self, base: ResidentBase, source: Source, engine: Engine | None = None) -> None:
        self.engine: Engine = engine or build_engine(base, CONFIG, source)
        self.seen = Collector()

    def submit(self, name: str, digest: str = "", tokens: int = 4) -> None:
        adapter = AdapterKey(digest, f"team/{digest}") if digest else None
        request = Request(name, (1, 2, 3), adapter, stop=Stop(max_tokens=tokens, ignore_eos=True))
        self.engine.submit(request, lambda item: self.seen.emit(name, item))

    def step_until(self, condition: Callable[[], bool]) -> None:
        for _ in range(int(PATIENCE_SECONDS / 0.01)):
            if condition():
                return
            if not self.engine.step():
                self.engine.wait(0.01)
        raise AssertionError("the engine did not get there")

    def settle(self) -> None:
        self.step_until(lambda: not self.engine.live)
        assert not self.seen.faults


def test_a_slow_source_stalls_nobody_but_its_own_requests(base: ResidentBase, good: AdapterFolder) -> None:
    source = Source({"slow": good})
    stage = Stage(base, source)
    stage.submit("cold", "slow")
    stage.submit("base")
    stage.step_until(lambda: "base" in stage.seen.completions)
    assert "cold" not in stage.seen.completions
    source.gate.set()
    stage.settle()

    assert stage.seen.completions["cold"].finish_reason is FinishReason.LENGTH
    assert stage.seen.completions["cold"].token_ids != stage.seen.completions["base"].token_ids
    stage.engine.close()


def corrupt(good: AdapterFolder, folder: Path) -> AdapterFolder:
    shutil.copytree(good.path, folder)
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return replace(good, path=folder)


@pytest.mark.parametrize("kind", ["refusal", "surprise", "corrupt", "too large"])
def test_a_load_that_fails_ends_its_own_requests_with_its_cause(
    base: ResidentBase, good: AdapterFolder, llama_base: Path, tmp_path: Path, kind: str
) -> None:
    refusal = NotThere("there is no such adapter")
    causes: dict[str, tuple[AdapterFolder | Exception, type[Exception], str]] = {
        "refusal": (refusal, NotThere, "no such adapter"),
        "surprise": (OSError("the disk is gone"), AdapterUnavailable, "team/bad .*the disk is gone"),
        "corrupt": (corrupt(good, tmp_path / "cut"), AdapterCorrupt, "cannot be read"),
        "too large": (
            described(write_adapter(tmp_path / "large", llama_base, AdapterShape(17), seed=2)),
            AdapterRefused,
            "rank 17",
        ),
    }
    broken, error, shown = causes[kind]
    source = Source({"bad": broken, "good": good})
    source.gate.set()
    stage = Stage(base, source)
    for name, digest in (("first", "bad"), ("second", "bad"), ("good", "good"), ("base", "")):
        stage.submit(name, digest)
    stage.settle()

    assert stage.seen.errors.keys() == {"first", "second"}
    assert stage.seen.completions.keys() == {"good", "base"}
    for found in stage.seen.errors.values():
        with pytest.raises(error, match=shown):
            raise found
    assert [status.adapter.digest for status in stage.engine.adapters()] == ["good"]
    source.folders["bad"] = good
    stage.submit("third", "bad")
    stage.settle()
    assert stage.seen.completions["third"].token_ids == stage.seen.completions["good"].token_ids
    stage.engine.close()


def test_closing_waits_for_the_load_under_way_and_begins_no_other(
    base: ResidentBase, good: AdapterFolder
) -> None:
    source, ended = Source({"running": good, "queued": good}), dict[str, Future[Loaded]]()
    stages = list[tuple[str, SlotState]]()
    store = LoraStore(base.shapes, torch.float32, torch.device("cpu"))

    def take(told: LoadAdvanced | LoadEnded | PrefetchEnded) -> None:
        if isinstance(told, LoadEnded):
            ended[told.adapter.digest] = told.result
        elif isinstance(told, LoadAdvanced):
            stages.append((told.adapter.digest, told.state))

    loader = AdapterLoader(source, store, take, 1, 16)
    for digest in ("running", "queued"):
        loader.start(AdapterKey(digest), None)
    assert source.entered.wait(PATIENCE_SECONDS)
    closing = threading.Thread(target=loader.close)
    closing.start()
    while "queued" not in ended:
        assert closing.is_alive()
    source.gate.set()
    closing.join(PATIENCE_SECONDS)

    assert not closing.is_alive()
    assert source.asked == ["running"]
    assert ended["running"].result().rank == 4
    assert ended["queued"].cancelled()
    assert store.places_used == 1
    assert stages == [("running", SlotState.STAGED), ("running", SlotState.LOADING)]


def test_an_engine_closes_while_an_adapter_loads(base: ResidentBase, good: AdapterFolder) -> None:
    source = Source({"slow": good})
    stage = Stage(base, source)
    stage.submit("cold", "slow")
    stage.engine.step()
    stage.engine.fail_all(AdapterUnavailable("closing"))
    source.gate.set()
    stage.engine.close()

    assert isinstance(stage.seen.errors["cold"], AdapterUnavailable)
    assert stage.engine.live == 0


def test_what_a_load_reports_is_what_the_store_holds(base: ResidentBase, good: AdapterFolder) -> None:
    source = Source({"a": good})
    source.gate.set()
    store, ends = LoraStore(base.shapes, torch.float32, torch.device("cpu")), list[Future[Loaded]]()

    def take(told: LoadAdvanced | LoadEnded | PrefetchEnded) -> None:
        if isinstance(told, LoadEnded):
            ends.append(told.result)

    loader = AdapterLoader(source, store, take, 1, 16)
    loader.start(AdapterKey("a"), None)
    loader.close()

    loaded = ends[0].result()
    assert (loaded.rank, set(loaded.seconds)) == (4, {"fetch", "stage", "copy"})
    assert loaded.size_bytes == sum(4 * 4 * (wide + tall) for wide, tall in base.shapes.values())
    assert store.places_used == 1
    assert loaded.place is not None
    loader.free(loaded.place)
    assert store.places_used == 0


def test_what_was_read_once_comes_back_to_the_device_without_its_files(
    base: ResidentBase, good: AdapterFolder
) -> None:
    source = Source({"a": good, "b": good})
    source.gate.set()
    engine = build_engine(base, replace(CONFIG, slots=1, host_cache_bytes=1 << 24), source)
    stage = Stage(base, source, engine)
    for turn, digest in enumerate("abab"):
        stage.submit(f"{turn}", digest)
        stage.settle()
    tokens = [stage.seen.completions[f"{turn}"].token_ids for turn in range(4)]
    tiers = {status.adapter.digest: status.tier for status in engine.adapters()}
    engine.close()

    assert source.asked == ["a", "b"]
    assert tokens == [tokens[0]] * 4
    assert tiers == {"a": "host", "b": "device"}


def test_an_adapter_is_read_ahead_while_the_only_slot_is_taken(
    base: ResidentBase, good: AdapterFolder
) -> None:
    source = Source({"a": good, "b": good})
    source.gate.set()
    engine = build_engine(base, replace(CONFIG, slots=1, host_cache_bytes=1 << 24), source)
    stage = Stage(base, source, engine)
    stage.submit("first", "a", tokens=200)
    stage.step_until(lambda: any(status.tier == "device" for status in engine.adapters()))
    stage.submit("second", "b")
    stage.step_until(lambda: any(status.adapter.digest == "b" for status in engine.adapters()))
    stage.step_until(lambda: any(status.state == "staged" for status in engine.adapters()) or not engine.live)
    stage.settle()
    engine.close()

    assert source.asked == ["a", "b"]
    assert set(stage.seen.completions) == {"first", "second"}


@pytest.mark.parametrize("ahead", [False, True], ids=["a load", "a prefetch"])
def test_closing_does_not_wait_for_a_fetch_that_hangs(
    base: ResidentBase, good: AdapterFolder, caplog: pytest.LogCaptureFixture, ahead: bool
) -> None:
    source, store = Source({"hangs": good}), LoraStore(base.shapes, torch.float32, torch.device("cpu"))
    ended = threading.Event()
    loader = AdapterLoader(
        source,
        store,
        lambda told: ended.set() if isinstance(told, LoadEnded | PrefetchEnded) else None,
        1,
        16,
    )
    loader.closing_seconds = 0.0
    if ahead:
        loader.prefetch(AdapterKey("hangs"))
    else:
        loader.start(AdapterKey("hangs"), None)
    assert source.entered.wait(PATIENCE_SECONDS)
    loader.close()

    assert not ended.is_set()
    assert [record.getMessage() for record in caplog.records] == [
        "1 adapters still load after 0 s; leaving them"
    ]
    source.gate.set()
    assert ended.wait(PATIENCE_SECONDS), "what comes late is lost"


def _slabs() -> set[int]:
    gc.collect()
    return {id(each) for each in gc.get_objects() if type(each) is Slab}


@pytest.mark.parametrize("kernels", ["auto", "torch"])
def test_an_evicted_adapters_slab_is_gone_while_the_next_one_is_fetched(
    llama_base: Path, good: AdapterFolder, kernels: str
) -> None:
    config = replace(CONFIG, slots=1, kernels=kernels)
    source, before = Source({"a": good, "b": good}), _slabs()
    resident = load_base(llama_base, config)
    engine = build_engine(resident, config, source)
    stage = Stage(resident, source, engine)
    source.gate.set()
    stage.submit("first", "a")
    stage.settle()
    assert len(_slabs() - before) == 1
    source.gate.clear()
    stage.submit("second", "b")
    stage.step_until(lambda: source.asked == ["a", "b"])

    assert not _slabs() - before
    source.gate.set()
    stage.settle()
    engine.close()
    assert stage.seen.completions["first"].token_ids == stage.seen.completions["second"].token_ids
