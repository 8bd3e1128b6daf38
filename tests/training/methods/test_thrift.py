"""An adapter keeps its inputs as they come, and computes what PEFT does, bit for bit."""

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn

from parfocal.training.methods.thrift import keep_inputs_narrow

ROWS, LENGTH, WIDE = 3, 17, 96


class Shared(nn.Module):
    """Two linears of one input, as query and key are."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDE, 32, bias=False)
        self.key = nn.Linear(WIDE, 32, bias=False)

    def forward(self, given: Tensor) -> Tensor:
        out: Tensor = self.query(given) * self.key(given)
        return out


def adapted(dropout: float = 0.0) -> PeftModel:
    torch.manual_seed(0)
    model = get_peft_model(
        Shared().bfloat16(),
        LoraConfig(r=4, target_modules=["query", "key"], init_lora_weights=False, lora_dropout=dropout),
        autocast_adapter_dtype=False,
    )
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


def learnt(model: PeftModel) -> tuple[dict[str, Tensor], int]:
    """All gradients by name, the input's too, and the bytes that were kept for them."""
    given = torch.randn(ROWS, LENGTH, WIDE, generator=torch.Generator().manual_seed(1)).bfloat16()
    given.requires_grad_()
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    torch.manual_seed(2)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(given).float().square().sum()
    held = sum(kept.values())
    loss.backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert given.grad is not None
    return {**found, "given": given.grad, "loss": loss.detach()}, held


def test_gradients_are_those_of_peft_and_less_is_kept_for_them() -> None:
    plain, thrifty = adapted(), adapted()
    keep_inputs_narrow(thrifty)
    expected, before = learnt(plain)
    found, after = learnt(thrifty)

    assert len(expected) == 6
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    numbers = ROWS * LENGTH * WIDE
    assert before - after == 2 * 4 * numbers - 2 * numbers  # two copies in float32, and the input itself


def test_where_inputs_are_dropped_from_nothing_changes() -> None:
    plain, thrifty = adapted(dropout=0.5), adapted(dropout=0.5)
    keep_inputs_narrow(thrifty)
    expected, before = learnt(plain)
    found, after = learnt(thrifty)

    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert before == after


def test_an_input_in_the_type_of_the_weights_is_kept_as_ever() -> None:
    model = adapted().float()
    keep_inputs_narrow(model)
    out = model(torch.ones(1, 2, WIDE))

    assert out.dtype is torch.float32
