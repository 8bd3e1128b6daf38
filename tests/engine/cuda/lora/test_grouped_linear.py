"""Linears that share an input answer as if each were alone, and their adapters' part is asked for once."""

from collections.abc import Sequence

import torch
from torch import nn

from parfocal.engine.backends.cuda.groups import groups_of
from parfocal.engine.backends.cuda.lora.grouped_linear import group_linears
from parfocal.engine.lora import ActiveAdapters, LoraWork


class Together(LoraWork):
    """Work that adds 1 to the first output, 2 to the second …, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def add_to(self, y: torch.Tensor, x: torch.Tensor, path: str) -> None:
        raise AssertionError("a group is asked for as one")

    def add_to_group(self, ys: Sequence[torch.Tensor], x: torch.Tensor, paths: Sequence[str]) -> None:
        self.asked.append(tuple(paths))
        for number, y in enumerate(ys, start=1):
            y += number


class OneByOne(LoraWork):
    """Work that knows no groups."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def add_to(self, y: torch.Tensor, x: torch.Tensor, path: str) -> None:
        self.asked.append(path)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = nn.Linear(4, 6), nn.Linear(4, 2), nn.Linear(4, 2)
        self.o_proj = nn.Linear(6, 4)


def grouped() -> tuple[Attention, list[nn.Module], ActiveAdapters]:
    model, active = Attention(), ActiveAdapters()
    linears: list[nn.Module] = [model.q_proj, model.k_proj, model.v_proj]
    shapes = {name: (4, 6) for name in ("q_proj", "k_proj", "v_proj")} | {"o_proj": (6, 4)}
    group_linears(model, groups_of(shapes), active)
    return model, linears, active


def test_without_adapters_each_answers_as_before() -> None:
    model, linears, _ = grouped()
    x = torch.randn(1, 3, 4)

    for name, linear in zip(("q_proj", "k_proj", "v_proj"), linears, strict=True):
        assert torch.equal(getattr(model, name)(x), linear(x))


def test_the_adapters_part_is_asked_for_once_for_all() -> None:
    model, linears, active = grouped()
    work = active.work = Together()
    x = torch.randn(1, 3, 4)
    answers = [model.q_proj(x), model.k_proj(x), model.v_proj(x)]

    assert work.asked == [("q_proj", "k_proj", "v_proj")]
    for number, (answer, linear) in enumerate(zip(answers, linears, strict=True), start=1):
        assert torch.allclose(answer, linear(x) + number)


def test_work_that_knows_no_groups_is_asked_for_each() -> None:
    model, _, active = grouped()
    work = active.work = OneByOne()
    model.q_proj(torch.randn(1, 3, 4))

    assert work.asked == ["q_proj", "k_proj", "v_proj"]


def test_another_input_or_a_second_call_is_computed_anew() -> None:
    model, linears, _ = grouped()
    x, other = torch.randn(1, 3, 4), torch.randn(1, 3, 4)
    model.q_proj(x)

    assert torch.equal(model.k_proj(other), linears[1](other))
    assert torch.equal(model.k_proj(other), linears[1](other))
    assert torch.equal(model.q_proj(x), linears[0](x))


def test_linears_whose_inputs_differ_are_no_group() -> None:
    shapes = {"a.gate_proj": (4, 8), "a.up_proj": (6, 8), "a.down_proj": (8, 4), "a.qkv_proj": (4, 12)}

    assert groups_of(shapes) == [(path,) for path in shapes]
