"""A cached base is the same bits as a fresh one; damage is never used, and no process harms another."""

import json
import os
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fakes.engine.folder_source import FolderSource
from oracle.bases import configurations, write_base
from oracle.engines import run_all
from parfocal.engine import BaseCache, EngineConfig, Request, Stop
from parfocal.engine.loading import base as loading
from parfocal.engine.loading import build_engine, load_base
from parfocal.engine.loading.cache_entry import CacheEntry, Frozen, weight_facts
from parfocal.engine.model import ResidentBase

CPU = torch.device("cpu")
# What transformers notes of its own way to load; nothing that computes reads it.
_LABELS = {"_is_hf_initialized", "_use_kernels", "is_loaded_in_4bit", "is_quantized", "quantization_method"}
KINDS = [(name, "auto", "auto") for name in configurations()]
KINDS += [("qwen2", *rest) for rest in (("float32", "auto"), ("auto", "torch"), ("bfloat16", "auto"))]


def _held(model: nn.Module) -> dict[str, object]:
    """Returns every number that the model keeps, by where it is kept: tensors as bytes, and all settings."""
    found: dict[str, object] = {}
    for path, module in model.named_modules():
        found[path] = type(module)
        parts = {**vars(module), **module._parameters, **module._buffers, **vars(module).get("kept", {})}
        state = getattr(parts.get("weight"), "quant_state", None)
        parts |= {} if state is None else state.as_dict()
        for name, value in parts.items():
            if isinstance(value, torch.Tensor):
                assert not value.is_meta, f"{path}.{name} was not filled"
                content = value.detach().reshape(-1).view(torch.uint8).numpy().tobytes()
                found[f"{path}.{name}"] = (value.shape, value.dtype, content)
            elif isinstance(value, bool | int | float | str | torch.dtype) and name not in _LABELS:
                found[f"{path}.{name}"] = value
    return found


def _tokens(base: ResidentBase, config: EngineConfig) -> dict[str, tuple[int, ...]]:
    engine = build_engine(base, config, FolderSource({}))
    requests = [Request(f"{n}", tuple(range(n, 3 * n)), stop=Stop(9, ignore_eos=True)) for n in (3, 30)]
    done = run_all(engine, requests)
    engine.close()
    return done.tokens


@pytest.fixture
def never_fresh(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Returns what forbids quantising from then on."""
    return lambda: monkeypatch.delattr(loading, "load_quantised")


@pytest.mark.parametrize(("kind", "dtype", "kernels"), KINDS)
def test_a_cached_base_is_a_fresh_one_bit_by_bit(
    tmp_path: Path, never_fresh: Callable[[], None], kind: str, dtype: str, kernels: str
) -> None:
    folder = write_base(tmp_path / kind, configurations(layers=2)[kind])
    config = EngineConfig(device="cpu", dtype=dtype, kernels=kernels, kv_cache_bytes=1 << 22)
    fresh = load_base(folder, config)
    first = load_base(folder, config, cache=BaseCache(tmp_path / "bases"))
    never_fresh()
    second = load_base(folder, config, cache=BaseCache(tmp_path / "bases"))

    right = _held(fresh.model)
    assert _held(first.model) == right
    assert _held(second.model) == right
    assert second.info == fresh.info
    assert second.shapes == fresh.shapes
    assert _tokens(second, config) == _tokens(fresh, config)


def test_another_recipe_kernel_or_weight_is_another_entry(tmp_path: Path) -> None:
    kind = configurations(layers=1)["llama"]
    folder, cache = write_base(tmp_path / "base", kind), tmp_path / "bases"
    config = EngineConfig(device="cpu", dtype="float32")
    for other in (config, config, replace(config, dtype="bfloat16"), replace(config, dtype="float32")):
        load_base(folder, other, cache=BaseCache(cache))
    assert len(list(cache.iterdir())) == 2

    write_base(folder, kind, seed=1)
    changed = load_base(folder, config, cache=BaseCache(cache))

    assert len(list(cache.iterdir())) == 3
    assert _held(changed.model) == _held(load_base(folder, config).model)


def test_a_base_that_is_served_no_more_makes_room_for_the_next(tmp_path: Path) -> None:
    root, config = tmp_path / "bases", EngineConfig(device="cpu", dtype="float32")
    kind = configurations(layers=1)["llama"]
    folders = [write_base(tmp_path / str(seed), kind, seed=seed) for seed in range(3)]
    left = []
    for folder, is_served_on in zip(folders, (True, False, False), strict=True):
        cache = BaseCache(root, 1, folder.name)
        load_base(folder, config, cache=cache)
        left.append({base.name for base in cache.bases()})
        if not is_served_on:
            cache.close()

    assert left == [{"0"}, {"0", "1"}, {"0", "2"}]


def test_weights_put_back_in_time_are_not_mistaken_for_others(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    before, state = weight_facts(tmp_path), weights.stat()
    assert weight_facts(tmp_path) == before
    weights.write_bytes(b"two")
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))

    assert weight_facts(tmp_path) != before


NUMBERS = Frozen(
    {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([7], dtype=torch.uint8)}, {"note": [1]}
)


def _entry(root: Path) -> CacheEntry:
    return CacheEntry(BaseCache(root), {"fact": 1})


def _is_whole(found: Frozen | None) -> bool:
    return (
        found is not None
        and found.notes == NUMBERS.notes
        and found.tensors.keys() == NUMBERS.tensors.keys()
        and all(torch.equal(found.tensors[name], tensor) for name, tensor in NUMBERS.tensors.items())
    )


def _flip_one_bit(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-3] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def _cut(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", 20)


def _lose_tensors(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _lose_seal(folder: Path) -> None:
    (folder / "entry.json").unlink()


def _cut_seal(folder: Path) -> None:
    os.truncate(folder / "entry.json", 9)


def _empty_seal(folder: Path) -> None:
    (folder / "entry.json").write_text(json.dumps([]))


@pytest.mark.parametrize("damage", [_flip_one_bit, _cut, _lose_tensors, _lose_seal, _cut_seal, _empty_seal])
def test_a_damaged_entry_is_named_once_and_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    entry = _entry(tmp_path)
    entry.write(NUMBERS)
    damage(entry.folder)

    assert entry.read(CPU) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(entry.folder) in caplog.text
    entry.write(NUMBERS)
    assert _is_whole(entry.read(CPU))
    assert [path.name for path in tmp_path.iterdir()] == [entry.folder.name]
    assert len(caplog.records) == 1


def test_many_writers_and_readers_at_once_leave_one_whole_entry(tmp_path: Path) -> None:
    def start(number: int) -> bool:
        entry = _entry(tmp_path)
        found = entry.read(CPU)
        if found is None:
            entry.write(NUMBERS)
            found = entry.read(CPU)
        return _is_whole(found)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(start, range(64)))
    assert len(list(tmp_path.iterdir())) == 1


def test_an_entry_that_vanishes_is_missing_and_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry = _entry(tmp_path)
    entry.write(NUMBERS)
    shutil.rmtree(entry.folder)

    assert entry.read(CPU) is None
    assert not caplog.records


def test_a_folder_that_cannot_be_written_costs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    entry = _entry(tmp_path / "file" / "bases")
    entry.write(NUMBERS)

    assert entry.read(CPU) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def _seal(folder: Path) -> None:
    """Seals whatever is there, as if it had been written so."""
    content = (folder / "model.safetensors").read_bytes()
    seal = {"size": len(content), "crc32": zlib.crc32(content), "facts": {}}
    (folder / "entry.json").write_text(json.dumps(seal))


def _replace_by_a_folder(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()


def _replace_by_a_loop(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("model.safetensors")


def _seal_nonsense(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 64)
    _seal(folder)


def _seal_too_little(folder: Path) -> None:
    _cut(folder)
    _seal(folder)


@pytest.mark.parametrize("harm", [_replace_by_a_folder, _replace_by_a_loop, _seal_nonsense, _seal_too_little])
def test_an_entry_that_cannot_be_read_costs_a_warning_and_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Callable[[Path], None]
) -> None:
    entry = _entry(tmp_path)
    entry.write(NUMBERS)
    harm(entry.folder)

    assert entry.read(CPU) is None
    [warning] = [record.getMessage() for record in caplog.records]
    assert warning.startswith(f"cannot read cached base {entry.folder}: ")
    assert warning.endswith("; loading the base without it; if it happens again, remove it")
    assert entry.folder.is_dir()
    entry.write(NUMBERS)
    assert len(caplog.records) == 1


@pytest.fixture(scope="module")
def troubles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Returns what happened on each disk that takes no cache, all in one process: its start is slow."""
    root, apart = tmp_path_factory.mktemp("troubles"), ["unshare", "-m"]
    folder = write_base(root / "base", configurations(layers=1)["llama"])
    mount = [*apart, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    may_mount = subprocess.run(mount, capture_output=True).returncode == 0
    names = ["limited", "full", "read_only"] if may_mount else ["limited"]
    serve = [sys.executable, "-m", "fakes.engine.cache_trouble", str(folder), str(root), *names]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*(apart if may_mount else []), *serve]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(zip(names, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("trouble", ["limited", "full", "read_only"])
def test_a_disk_that_takes_no_cache_costs_a_warning_and_the_base_is_served(
    troubles: dict[str, Any], trouble: str
) -> None:
    if trouble not in troubles:
        pytest.skip("this user may not mount")
    happened = troubles[trouble]

    assert happened["tokens"] == 3
    [warning] = happened["warnings"]
    assert warning.startswith(f"cannot write base cache {happened['root']}: ")
    assert happened["left"] == []


def test_what_a_killed_process_left_is_swept_after_a_day(tmp_path: Path) -> None:
    for name, age in ((".new-killed", 90_000), (".new-at-work", 10)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    entry = _entry(tmp_path)
    entry.write(NUMBERS)

    assert {path.name for path in tmp_path.iterdir()} == {".new-at-work", entry.folder.name}
