"""What a layer of each architecture launches when fused and says, and what stays with transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PretrainedConfig

from fakes.engine.cuda.launches import Launches
from fakes.engine.cuda.layer_steps import layer_steps
from fakes.engine.cuda.loaded_base import loaded_base
from fakes.engine.lora_weights import random_adapter
from oracle.bases import configurations, write_base
from parfocal.engine.backends.cuda.fused.plan import NotFused, plan_of
from parfocal.engine.backends.cuda.lora import Adapters
from parfocal.engine.backends.cuda.steps.decode_inputs import Parts, decode_inputs
from parfocal.engine.lora import LoraWeights, ModuleWeights
from parfocal.engine.scheduling import Plan, PlanRow, lay_out

BLOCKS, RANK = 4, 8
# From one layer's rotation to the next one's. Attention is two: its shares, and their combination.
LAYER = (
    *("rotate", "decode", "combine", "product", "norm"),
    *("product", "gate", "product", "norm", "product"),
)
# Products with many outputs expand in tiles, by a launch of their own.
SHARING_LAYER = (
    *("rotate", "decode", "combine", "product", "norm"),
    *("product", "expand", "gate", "product", "norm", "product", "expand"),
)


def with_adapters(layer: tuple[str, ...]) -> list[str]:
    """The same with shrink in the products' launches."""
    return [name.replace("product", "joint") for name in layer]


def narrow(architecture: str) -> PretrainedConfig:
    """Two layers of it, as few numbers as blocks of 64 allow."""
    kind = configurations(2)[architecture]
    kind.update({"hidden_size": 64, "intermediate_size": 128, "head_dim": 16})
    return kind


@pytest.mark.parametrize("architecture", configurations())
def test_a_layer_takes_ten_launches_with_adapters_and_without_and_twelve_where_rows_share_them(
    device: torch.device, architecture: str, tmp_path: Path
) -> None:
    base = loaded_base(write_base(tmp_path / "base", narrow(architecture)), device)
    step = layer_steps(base, BLOCKS, 1, RANK).fused(2)
    inputs = decode_inputs(1, BLOCKS, torch.empty(Parts.size(1, BLOCKS), dtype=torch.int32, device=device))
    for adapters, expected in (
        (Adapters.NONE, LAYER),
        (Adapters.BY_ROW, with_adapters(LAYER)),
        (Adapters.SHARED, with_adapters(SHARING_LAYER)),
    ):
        with torch.inference_mode(), Launches() as launches:
            step.decode(inputs, adapters)
        names = [name.removesuffix("_kernel") for name in launches.names]
        first, second = (at for at, name in enumerate(names) if name == "rotate")
        assert names[first:second] == list(expected), f"{architecture}, adapters {adapters}"


@pytest.mark.parametrize("architecture", ["llama", "phi3"])
def test_rows_that_share_an_adapter_say_in_tiles_what_they_say_by_themselves(
    device: torch.device, architecture: str, tmp_path: Path
) -> None:
    base = loaded_base(write_base(tmp_path / "base", narrow(architecture)), device)
    steps = layer_steps(base, BLOCKS, 1, RANK)
    drawn = random_adapter(RANK, base.shapes, shapes=base.shapes).modules
    modules = {path: ModuleWeights(own.a.float() / 8, own.b.float() / 8) for path, own in drawn.items()}
    place = steps.store.copy_in(steps.store.lay_out(LoraWeights("adapter", modules)))
    inputs = decode_inputs(3, 1, torch.empty(Parts.size(3, 1), dtype=torch.int32, device=device))
    rows = (PlanRow(f"q{n}", (n,), 0, (n,), None if n == 1 else place, None) for n in range(3))
    inputs.fill(lay_out(Plan(tuple(rows))), 16)
    with torch.inference_mode():
        bare, by_row, shared = (steps.fused(1).decode(inputs, adapters).clone() for adapters in Adapters)

    torch.testing.assert_close(shared, by_row, rtol=1e-4, atol=1e-4)
    changed = [not torch.allclose(own, other, atol=1e-3) for own, other in zip(by_row, bare, strict=True)]
    # The base's row comes last: a step's rows are sorted by adapter.
    assert changed == [True, True, False]


def test_a_model_that_is_not_what_it_seems_is_left_to_transformers(
    device: torch.device, tmp_path: Path
) -> None:
    base = loaded_base(write_base(tmp_path / "base", narrow("llama")), device)
    layer_steps(base, BLOCKS, 1, RANK)
    sizes = base.kv_shape.heads, base.kv_shape.head_dim
    config: Any = base.model.config
    assert plan_of(base.model, *sizes).layers

    config.hidden_act = "relu"
    with pytest.raises(NotFused, match="its activation is relu"):
        plan_of(base.model, *sizes)
    config.hidden_act, config.model_type = "silu", "granite"
    with pytest.raises(NotFused, match="architecture granite has no plan"):
        plan_of(base.model, *sizes)
