"""An adapter whose arithmetic overflows ends its own requests and harms no other, then or later."""

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from fakes.engine.folder_source import FolderSource
from oracle.engines import run_all
from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.engine import AdapterKey, EngineConfig, Request, StepFailed, Stop
from parfocal.engine.engine import Engine
from parfocal.engine.loading import build_engine, load_base
from parfocal.engine.model import ResidentBase

BLOCK = 8
TOKEN_BYTES = 2 * 3 * 2 * 32 * 4  # keys and values, layers, heads, dimensions, float32


@pytest.fixture(scope="module")
def base(llama_base: Path) -> ResidentBase:
    return load_base(llama_base, EngineConfig(device="cpu", dtype="float32"))


@pytest.fixture(scope="module")
def folders(llama_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good adapter, and one whose every weight is finite but whose product is not."""
    root = tmp_path_factory.mktemp("adapters")
    found = {
        name: write_adapter(root / name, llama_base, AdapterShape(4), seed)
        for seed, name in enumerate(("good", "bad"), start=1)
    }
    weights = found["bad"] / "adapter_model.safetensors"
    save_file({name: tensor * 1e25 for name, tensor in load_file(weights).items()}, weights)
    return found


def new_engine(base: ResidentBase, folders: dict[str, Path], blocks: int) -> Engine:
    config = EngineConfig(
        device="cpu", dtype="float32", block_tokens=BLOCK, kv_cache_bytes=blocks * BLOCK * TOKEN_BYTES
    )
    return build_engine(base, config, FolderSource(folders))


def request(name: str, length: int, digest: str = "", tokens: int = 10) -> Request:
    prompt = tuple((7 * at + len(name)) % 250 for at in range(length))
    adapter = AdapterKey(digest) if digest else None
    return Request(name, prompt, adapter, stop=Stop(max_tokens=tokens, ignore_eos=True))


def answers(engine: Engine, requests: list[Request]) -> dict[str, tuple[int, ...]]:
    return {name: done.token_ids for name, done in run_all(engine, requests).completions.items()}


def test_rows_beside_a_broken_one_are_unharmed(base: ResidentBase, folders: dict[str, Path]) -> None:
    others = [request("short", 3), request("long", 45), request("adapted", 20, "good")]
    right = answers(new_engine(base, folders, 64), others)

    engine = new_engine(base, folders, 64)
    assert run_all(engine, [request("first in the first block", 30, "bad")]).errors
    done = run_all(engine, [request("broken", 30, "bad"), *others])

    assert isinstance(done.errors["broken"], StepFailed)
    assert "logits are" in str(done.errors["broken"])
    assert {name: one.token_ids for name, one in done.completions.items()} == right


@pytest.mark.parametrize("length", [1, 2, BLOCK - 1, BLOCK, BLOCK + 3, 2 * BLOCK])
def test_a_request_in_the_blocks_of_a_broken_one_is_unharmed(
    base: ResidentBase, folders: dict[str, Path], length: int
) -> None:
    later = [request("later", length), request("and longer", 2 * BLOCK + 5)]
    right = answers(new_engine(base, folders, 8), later)
    engine = new_engine(base, folders, 8)

    broken = [request(f"broken {number}", 7 * BLOCK + 5, "bad") for number in range(2)]
    assert len(run_all(engine, broken).errors) == 2
    assert answers(engine, later) == right
