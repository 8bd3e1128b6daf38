"""Where products in CUDA C++ cannot be built or are wrong, the next best path serves, with one warning."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

from fakes.engine.emulated_card.card import HOPPER, EmulatedCard
from fakes.engine.four_bit import new_linear
from parfocal.engine.backends.cuda.four_bit import (
    Blocked,
    BlockedLinear4bit,
    BlockedLinears,
    Product,
    TritonProduct,
    Way,
    choose_products,
    nf4_levels,
)
from parfocal.engine.backends.cuda.four_bit.compiled import CompiledProduct, compiled_products
from parfocal.engine.backends.cuda.nvrtc import (
    Builder,
    Compiler,
    CompilerFailed,
    Cubins,
    Source,
    Target,
)

Products = Callable[[torch.dtype], CompiledProduct]

DTYPE = torch.float16


class FirstIsFastest:
    """A clock on which everything takes longer than what came before it."""

    def __init__(self) -> None:
        self._seconds = 1.0

    def seconds(self, work: Callable[[], object]) -> float:
        self._seconds += 1.0
        return self._seconds


class Refusing:
    """A compiler that compiles nothing."""

    name = "refusing"

    def compile(self, source: Source, options: Sequence[str]) -> bytes:
        raise CompilerFailed(f"{source.name}: no")


def absent() -> Compiler:
    raise OSError("no NVRTC")


def chosen(
    candidates: list[Product], device: torch.device, told: dict[str, str]
) -> tuple[nn.ModuleDict, list[str]]:
    plain = new_linear(DTYPE, outputs=40, inputs=128).to(device)
    model = nn.ModuleDict({"o_proj": new_linear(DTYPE, outputs=40, inputs=128).to(device)})
    BlockedLinears().pack(model)
    choose_products(model, 4, FirstIsFastest, told.__setitem__, candidates)

    x = torch.randn(3, 128, generator=torch.Generator().manual_seed(6)).to(device, DTYPE)
    torch.testing.assert_close(model["o_proj"](x), plain(x), rtol=2e-3, atol=2e-3)
    serving = [module.serving for module in model.values() if isinstance(module, BlockedLinear4bit)]
    return model, [one.product.name for one in serving if one]


@torch.inference_mode()
def test_what_is_right_and_fastest_serves(products: Products, device: torch.device) -> None:
    told = dict[str, str]()
    _, names = chosen([products(DTYPE), TritonProduct(Way.PAIRS)], device, told)

    assert (names, told) == (["compiled"], {})


@torch.inference_mode()
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("old", "needs a card of compute capability 8.0, and this one's is 7.5"),
        ("small", "bytes of shared memory, and a program has at most 48128"),
        ("absent", "no NVRTC"),
        ("refuses", "product.cu: no"),
    ],
)
def test_what_cannot_be_built_gives_way_with_one_warning(
    fault: str, words: str, device: torch.device, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    targets = {"old": Target((7, 5), 64 << 10), "small": Target((8, 0), 48 << 10)}
    compilers: dict[str, Callable[[], Compiler]] = {"absent": absent, "refuses": Refusing}
    builder = Builder(Cubins(tmp_path), compilers.get(fault, absent))
    product = CompiledProduct(builder, lambda _: targets.get(fault, HOPPER))
    told = dict[str, str]()

    _, names = chosen([product, TritonProduct(Way.PAIRS)], device, told)

    assert names == ["pairs"]
    assert list(told) == ["products_compiled"]
    assert words in told["products_compiled"]
    assert [record.levelno for record in caplog.records if record.levelno >= logging.WARNING] == [
        logging.WARNING
    ]


class Foreign:
    """A compiler that compiles for another card."""

    name = "foreign"

    def compile(self, source: Source, options: Sequence[str]) -> bytes:
        return b"for another card"


class OddCodesOff(EmulatedCard):
    """A card that takes every odd code in a byte's lower half for the even one below it."""

    def compile(self, source: Source, options: Sequence[str]) -> bytes:
        headers = {
            name: text.replace(b"(shifted & 0x7f80u)", b"(shifted & 0x7f00u)")
            for name, text in source.headers.items()
        }
        return super().compile(Source(source.name, source.text, headers), options)


@pytest.fixture
def card(cards: dict[torch.dtype, EmulatedCard], products: Products, device: torch.device) -> EmulatedCard:
    """The emulated card, with a driver."""
    if device.type == "cuda":
        pytest.skip("a real card is not wrong when it is asked to be")
    assert products(DTYPE)(torch.zeros(0, 64, dtype=DTYPE), tiny()).rows == 0
    return cards[DTYPE]


def tiny() -> Blocked:
    codes = torch.zeros(1, 1, 32, dtype=torch.uint8)
    return Blocked(codes, torch.ones(1, 1), nf4_levels(), None, (1,), DTYPE)


@torch.inference_mode()
def test_what_the_driver_refuses_gives_way(card: EmulatedCard, device: torch.device, tmp_path: Path) -> None:
    told = dict[str, str]()
    product = CompiledProduct(Builder(Cubins(tmp_path), Foreign, card.driver), lambda _: HOPPER)

    _, names = chosen([product, TritonProduct(Way.PAIRS)], device, told)

    assert names == ["pairs"]
    assert "refused (200)" in told["products_compiled"]


@torch.inference_mode()
def test_what_is_wrong_gives_way(card: EmulatedCard, device: torch.device, tmp_path: Path) -> None:
    told = dict[str, str]()

    _, names = chosen([OddCodesOff(tmp_path).product(), TritonProduct(Way.PAIRS)], device, told)

    assert names == ["pairs"]
    assert "max error" in told["products_compiled"]


def test_only_a_cuda_device_and_16_bits_have_compiled_products() -> None:
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert [product.name for product in compiled_products(cuda, torch.bfloat16)] == ["compiled"]
    assert compiled_products(cuda, torch.float32) == []
    assert compiled_products(cpu, torch.bfloat16) == []
