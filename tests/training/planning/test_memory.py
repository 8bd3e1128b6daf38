"""What a step is said to hold is what it holds: the base, and what autograd keeps for the way back."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from parfocal.registry import describe_base, locate_base
from parfocal.training import TrainConfig
from parfocal.training.data import MASKED
from parfocal.training.evaluation import answer_logits
from parfocal.training.hyperparameters import DataFacts, Hyperparameters, base_facts, choose
from parfocal.training.methods.adapter import Device, add_adapter, load_base
from parfocal.training.planning import Sizes, Work, memory_needed

VOCABULARY = 320


def sizes_of(base: Path) -> Sizes:
    shape = describe_base(locate_base(str(base), weights=True)).shape
    assert shape is not None
    return Sizes(shape, VOCABULARY, tied=True)


def chosen_for(base: Path, length: int, **settings: Any) -> tuple[TrainConfig, Hyperparameters]:
    config = TrainConfig(data=Path("d"), name="n", base=str(base), rank=4, **settings)
    return config, choose(config, DataFacts(100, length, 1), base_facts(base))


def work(rows: int, length: int, answers: int) -> Work:
    return Work(1, rows * length, rows * length, answers * rows, 1, rows, length, answers, answers * rows, 0)


def held_by_autograd(model: Any, batch: dict[str, Tensor]) -> int:
    """Bytes of what the loss keeps, each storage once, without the model's own."""
    own = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}
    kept: dict[int, Any] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = answer_logits(model, batch).losses().sum()
    assert loss.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("length", [64, 200])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_autograd_keeps_is_foretold(base_folder: Path, dtype: torch.dtype, length: int) -> None:
    rows, answers = 4, 16
    config, chosen = chosen_for(base_folder, length)
    place = Device(torch.device("cpu"), dtype)
    base = load_base(base_folder, base_facts(base_folder), chosen, place)
    model = add_adapter(base, config, chosen)
    ids = torch.randint(0, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[:, : length - answers] = MASKED
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    held = held_by_autograd(model.train(), batch)
    foretold = memory_needed(sizes_of(base_folder), chosen, work(rows, length, answers), dtype.itemsize)

    log_probabilities = 4 * VOCABULARY * rows * answers  # all of the logits that stays
    assert foretold.activations + log_probabilities == pytest.approx(held, rel=0.12)


def test_the_base_weighs_what_its_weights_do(base_folder: Path) -> None:
    config, chosen = chosen_for(base_folder, 64)
    place = Device(torch.device("cpu"), torch.float32)
    base = load_base(base_folder, base_facts(base_folder), chosen, place)
    model = add_adapter(base, config, chosen)
    parts = [each for each in model.parameters() if not each.requires_grad]
    held = sum(each.untyped_storage().nbytes() for each in parts)
    foretold = memory_needed(sizes_of(base_folder), chosen, work(1, 64, 8), 4)

    assert foretold.base == pytest.approx(held, rel=0.05)
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    assert foretold.adapter == 20 * trained


def test_targets_decide_how_much_is_trained(base_folder: Path) -> None:
    sizes = sizes_of(base_folder)

    assert sizes.adapter_weights(4, ("q_proj",)) == 2 * 4 * (64 + 64)
    assert sizes.adapter_weights(8) == 2 * sizes.adapter_weights(4)


def test_memory_grows_with_the_largest_pass(base_folder: Path) -> None:
    sizes = sizes_of(base_folder)
    _, chosen = chosen_for(base_folder, 64)
    once, twice = (memory_needed(sizes, chosen, work(rows, 64, 8), 2) for rows in (2, 4))

    assert twice.activations == pytest.approx(2 * once.activations, rel=1e-6)
    assert twice.base == once.base
