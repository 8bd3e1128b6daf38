"""The base stays fit for training through evaluations: no repacked weight, no lost gradient.

These tests show the fault first, on CPUs that have it, so that a later bitsandbytes cannot make them idle.
"""

from pathlib import Path

import pytest
import torch
from bitsandbytes.functional import has_avx512bf16
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from torch import nn

from parfocal.engine import quiet_libraries
from parfocal.engine.loading import Loading, load_quantised
from parfocal.training import GradientsLost
from parfocal.training.methods.repacking import check_gradients_pass, check_unpacked, forbid_repacking

packs = pytest.mark.skipif(not has_avx512bf16(), reason="this CPU's bitsandbytes does not repack weights")


@pytest.fixture
def model(base_folder: Path) -> nn.Module:
    return load(base_folder)


def load(folder: Path) -> nn.Module:
    """Loads the base as a server would that trades exactness for speed."""
    with quiet_libraries():
        return load_quantised(folder, Loading(torch.float32, torch.device("cpu"), "eager", exact=False))


def evaluate(model: nn.Module) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=torch.arange(3, 23)[None]).logits
    model.train()
    return logits


def first_weight(model: nn.Module) -> Params4bit:
    weight = next(module.weight for module in model.modules() if isinstance(module, Linear4bit))
    assert isinstance(weight, Params4bit)
    return weight


@packs
def test_an_unguarded_evaluation_is_noticed(model: nn.Module) -> None:
    evaluate(model)

    with pytest.raises(GradientsLost, match="repacked for inference"):
        check_unpacked(model)
    with pytest.warns(UserWarning, match="autograd kernel was not registered"), pytest.raises(GradientsLost):
        check_gradients_pass(model)


@packs
def test_a_base_that_is_packed_already_is_refused(model: nn.Module) -> None:
    evaluate(model)

    with pytest.raises(GradientsLost):
        forbid_repacking(model)


def test_a_guarded_evaluation_leaves_every_weight_and_scale_as_it_was(model: nn.Module) -> None:
    forbid_repacking(model)
    weight = first_weight(model)
    bits, scales = weight.data.clone(), weight.quant_state.absmax.clone()
    evaluate(model)

    assert torch.equal(weight.data, bits)
    assert torch.equal(weight.quant_state.absmax, scales)
    check_unpacked(model)
    check_gradients_pass(model)


def test_a_guarded_evaluation_computes_what_training_computes(model: nn.Module) -> None:
    forbid_repacking(model)
    guarded = evaluate(model)
    model.train()
    with torch.no_grad():
        assert torch.equal(model(input_ids=torch.arange(3, 23)[None]).logits, guarded)


def test_forbidding_leaves_the_mode_as_it_was(model: nn.Module) -> None:
    model.train()
    forbid_repacking(model)

    assert all(module.training for module in model.modules())
