"""Layers are fused where that is right on the card; elsewhere, and where it stops, transformers serves."""

import logging

import pytest
import torch

from fakes.engine.cuda.layer_steps import LayerSteps, layer_steps
from fakes.engine.cuda.loaded_base import loaded_base
from oracle.bases import configurations, write_base
from parfocal.engine.backends.cuda.attention import CudaAttention, CudaAttentionStep
from parfocal.engine.backends.cuda.fused import Fused, StepParts, choose_fused
from parfocal.engine.backends.cuda.lora import CudaLora, Unguarded
from parfocal.engine.backends.cuda.sending import Send
from parfocal.engine.backends.cuda.steps import CudaStepWork
from parfocal.engine.model import Forward, ModelForward, query_heads
from parfocal.engine.scheduling import LaidRow, Plan, PlanRow, lay_out

RANK = 8
# What the trial asks.
TRIAL = 1


class FailingWork:
    """Prepares steps until `most` of them have been prepared; then no kernel can be launched."""

    def __init__(self, work: CudaStepWork, most: int) -> None:
        self._work = work
        self._left = most

    def kernels(self, laid: list[LaidRow], send: Send) -> CudaLora | None:
        return self._work.kernels(laid, send)

    def stored_attention(self, laid: list[LaidRow], send: Send) -> CudaAttentionStep:
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("no kernel image is available")
        step = self._work.stored_attention(laid, send)
        assert isinstance(step, CudaAttentionStep)
        return step


class Shifted:
    """Another forward pass whose logits are all moved."""

    def __init__(self, forward: Forward, by: float) -> None:
        self._forward = forward
        self._by = by

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        return self._forward.logits(laid, last) + self._by

    def states(self, laid: list[LaidRow], places: list[int]) -> torch.Tensor:
        return self._forward.states(laid, places)

    def head(self, states: torch.Tensor) -> torch.Tensor:
        return self._forward.head(states)


@pytest.fixture(scope="module")
def steps(device: torch.device, tmp_path_factory: pytest.TempPathFactory) -> LayerSteps:
    """A Llama of one layer, as narrow as blocks of 64 allow."""
    kind = configurations(1)["llama"]
    kind.update({"hidden_size": 64, "intermediate_size": 64, "head_dim": 16})
    folder = write_base(tmp_path_factory.mktemp("bases") / "small", kind)
    return layer_steps(loaded_base(folder, device), 2, 1, RANK)


def chosen(
    steps: LayerSteps, prepared: int, told: list[str], moved: float = 0.0
) -> tuple[Fused | None, Forward]:
    """What is chosen, and the forward pass beside it, where so many steps can be prepared."""
    attention = CudaAttention(steps.cache, query_heads(steps.base), steps.processors)
    work = CudaStepWork(steps.store, RANK, attention.step, Unguarded())
    plain = Shifted(ModelForward(steps.base, work), moved)
    parts = StepParts(steps.store, steps.cache, FailingWork(work, prepared), RANK)
    fused = choose_fused(steps.base, parts, plain, lambda kernel, _: told.append(kernel), invariant=False)
    return fused, plain


@torch.inference_mode()
def test_layers_whose_numbers_differ_are_left_to_transformers(
    steps: LayerSteps, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    fused, _ = chosen(steps, prepared=TRIAL, told=told, moved=0.5)

    assert fused is None
    assert told == ["layers"]
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "layers: kernel disabled" in warning.getMessage()
    assert "exceeds tolerance" in warning.getMessage()


@torch.inference_mode()
def test_layers_that_cannot_be_launched_are_left_to_transformers(
    steps: LayerSteps, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    fused, _ = chosen(steps, prepared=0, told=told)

    assert fused is None
    assert told == ["layers"]
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "no kernel image is available" in warning.getMessage()


@torch.inference_mode()
def test_layers_that_stop_working_are_told_of_once_and_answers_go_on(
    steps: LayerSteps, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    fused, plain = chosen(steps, prepared=TRIAL, told=told)
    assert fused is not None and told == []
    laid = lay_out(Plan((PlanRow("q", (1, 2, 3), 0, (0,), None, None),)))

    for _ in range(2):
        assert torch.equal(fused.forward.logits(laid, [2]), plain.logits(laid, [2]))
    assert told == ["layers"]
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "layers: kernel disabled" in warning.getMessage()
