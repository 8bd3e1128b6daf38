"""Softmax's gradient has the same bits on any number of threads, also for rows that do not fill vectors."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from parfocal.training.computing import fixed_threads, steady_cross_entropy
from parfocal.training.computing.softmax import _attention

Gradients = Callable[[int], Tensor]


class Attention(torch.nn.Module):
    """What transformers' eager attention asks of a module."""

    num_key_value_groups = 1


Attention.__module__ = "transformers.models.llama.modeling_llama"


def attention_gradient(width: int, dtype: torch.dtype, *, steady: bool = True) -> Tensor:
    from transformers.models.llama.modeling_llama import eager_attention_forward

    chance = torch.Generator().manual_seed(width)
    query, key, value = (torch.randn(4, 4, width, 16, generator=chance).to(dtype) for _ in range(3))
    query.requires_grad_()
    mask = torch.full((width, width), -1e9).triu(1)[None, None]
    forward = _attention if steady else eager_attention_forward
    output, _ = forward(Attention(), query, key, value, mask.to(dtype), scaling=0.25)
    (output.float() * torch.randn(output.shape, generator=chance)).sum().backward()
    assert query.grad is not None
    return query.grad


def loss_gradient(width: int) -> Tensor:
    chance = torch.Generator().manual_seed(width)
    logits = torch.randn(700, width, generator=chance).requires_grad_()
    losses = steady_cross_entropy(logits, torch.randint(width, (700,), generator=chance))
    (losses * torch.randn(700, generator=chance)).sum().backward()
    assert logits.grad is not None
    return logits.grad


def on_threads(gradient: Callable[[], Tensor]) -> list[Tensor]:
    made = []
    with fixed_threads():
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            made.append(gradient())
    return made


@pytest.mark.parametrize("width", [150, 153, 160, 168])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_learns_the_same_bits_on_any_number_of_threads(width: int, dtype: torch.dtype) -> None:
    first, *others = on_threads(lambda: attention_gradient(width, dtype))
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("width", [301, 517, 512])
def test_the_loss_learns_the_same_bits_on_any_number_of_threads(width: int) -> None:
    first, *others = on_threads(lambda: loss_gradient(width))
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_is_that_of_the_models_own_attention(dtype: torch.dtype) -> None:
    ours, theirs = attention_gradient(33, dtype), attention_gradient(33, dtype, steady=False)
    torch.testing.assert_close(ours, theirs)


def test_the_loss_is_torchs_own() -> None:
    logits, targets = torch.randn(5, 33, requires_grad=True), torch.arange(5)
    torch.testing.assert_close(
        steady_cross_entropy(logits, targets), cross_entropy(logits, targets, reduction="none")
    )
