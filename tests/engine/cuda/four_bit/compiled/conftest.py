"""The kernels of this folder run on the GPU where there is one, and elsewhere on an emulated card."""

import shutil
from collections.abc import Callable

import pytest
import torch

from fakes.engine.emulated_card.card import ADA, HOPPER, EmulatedCard
from parfocal.engine.backends.cuda.four_bit.compiled import CompiledProduct, compiled_products

Products = Callable[[torch.dtype], CompiledProduct]


@pytest.fixture(scope="package")
def cards(tmp_path_factory: pytest.TempPathFactory) -> dict[torch.dtype, EmulatedCard]:
    """An emulated card for each type, compiled when it is first used."""
    if not shutil.which("g++"):
        pytest.skip("g++ compiles the emulated card, and is not here")
    types = {torch.bfloat16: "bf16", torch.float16: "fp16"}
    return {dtype: EmulatedCard(tmp_path_factory.mktemp(name)) for dtype, name in types.items()}


@pytest.fixture(scope="package")
def products(request: pytest.FixtureRequest, device: torch.device) -> Products:
    """The product of a type: the card's own, or an emulated one's, of another generation for each type."""
    if device.type == "cuda":
        return lambda dtype: compiled_products(device, dtype)[0]
    cards: dict[torch.dtype, EmulatedCard] = request.getfixturevalue("cards")
    targets = {torch.bfloat16: HOPPER, torch.float16: ADA}
    made = {dtype: card.product(targets[dtype]) for dtype, card in cards.items()}
    return lambda dtype: made[dtype]
