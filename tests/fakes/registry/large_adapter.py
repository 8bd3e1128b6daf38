"""An adapter of many pieces on the wire, and a process that pushes it:

`python -m fakes.registry.large_adapter FOLDER REGISTRY CACHE NAME` says each step that its bytes take.
"""

import os
import subprocess
import sys
from pathlib import Path

from fakes.registry.peft_folders import Adapter, Tensor, write_adapter, write_base
from parfocal.registry import Publication, describe_base, locate_base
from parfocal.registry.remote import RemoteRegistry

_HIDDEN = 2048


def large_adapter(folder: Path, layers: int = 2) -> tuple[Path, Publication]:
    """An adapter of 4 MiB a layer, and what to publish it with."""
    base = write_base(folder / "large-base", hidden_size=_HIDDEN, num_hidden_layers=max(2, layers))
    path = "base_model.model.model.layers.{}.self_attn.q_proj.{}.weight"
    tensors = {
        path.format(layer, factor): Tensor(shape)
        for layer in range(layers)
        for factor, shape in (("lora_A", (256, _HIDDEN)), ("lora_B", (_HIDDEN, 256)))
    }
    adapter = Adapter(rank=256, modules=("q_proj",), tensors=tensors, base="large-base")
    written = write_adapter(folder / "large-adapter", adapter)
    return written, Publication(describe_base(locate_base(str(base), weights=False)))


def begun_push(folder: Path, registry: str, cache: Path, name: str) -> "subprocess.Popen[str]":
    """Begins to push the large adapter of `folder` in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "fakes.registry.large_adapter", str(folder), registry, str(cache), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def main() -> None:
    """Pushes, and tells how many bytes have travelled after each step, then the version."""
    folder, registry, cache, name = sys.argv[1:]
    adapter, publication = large_adapter(Path(folder))
    version = RemoteRegistry(registry, cache=Path(cache)).publish(
        name, adapter, publication, sent=lambda count: print(count, flush=True)
    )
    print(version, flush=True)


if __name__ == "__main__":
    main()
