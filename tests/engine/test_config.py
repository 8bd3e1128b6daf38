"""Every setting of an engine is declared once, and a value that it cannot have is refused by name."""

from dataclasses import fields
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine import Bounds, EngineConfig, EngineMisconfigured
from parfocal.engine.lora import ADAPTER_DTYPES
from parfocal.server import ServeConfig


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("slots", 0, "slots is 0; it must be at least 1"),
        ("load_threads", -3, "load_threads is -3; it must be at least 1"),
        ("host_cache_bytes", -1, "host_cache_bytes is -1; it must be at least 0"),
        ("memory_bytes", 0, "memory_bytes is 0; it must be at least 1"),
        ("memory_fraction", 0.0, "memory_fraction is 0.0; it must be above 0, at most 1"),
        ("memory_fraction", 1.5, "memory_fraction is 1.5; it must be above 0, at most 1"),
        ("memory_fraction", float("nan"), "memory_fraction is nan; it must be above 0, at most 1"),
        ("dtype", "int8", "dtype is 'int8'; it must be one of auto, float32, bfloat16, float16"),
        (
            "adapter_dtype",
            "int4",
            "adapter_dtype is 'int4'; it must be one of auto, float32, bfloat16, int16, int8",
        ),
        ("kernels", "cuda", "kernels is 'cuda'; it must be one of auto, torch"),
        ("activation_bits", 4, "activation_bits is 4; it must be one of 8, 13"),
    ],
)
def test_a_value_that_a_setting_cannot_have_is_refused_by_name(name: str, value: object, said: str) -> None:
    with pytest.raises(EngineMisconfigured) as refused:
        EngineConfig(**{name: value})  # type: ignore[arg-type]

    assert str(refused.value) == said
    assert refused.value.field == name


def test_what_is_unset_by_default_may_stay_unset() -> None:
    config = EngineConfig()

    assert config.kv_cache_bytes is config.memory_fraction is config.context_tokens is None


def test_the_servers_settings_declare_nothing_of_the_engines_again() -> None:
    engine = {each.name: each for each in fields(EngineConfig)}
    server = {each.name: each for each in fields(ServeConfig)}

    assert engine.keys() <= server.keys()
    for name, each in engine.items():
        assert (server[name].default, server[name].metadata) == (each.default, each.metadata)
        assert get_type_hints(ServeConfig)[name] == get_type_hints(EngineConfig)[name]
    assert ServeConfig().engine() == EngineConfig()


def test_every_type_that_a_setting_offers_adapters_is_one_that_stores_know() -> None:
    (found,) = (each for each in fields(EngineConfig) if each.name == "adapter_dtype")

    assert set(found.metadata["bounds"].choices) == {"auto", *ADAPTER_DTYPES}


@given(st.floats())
def test_bounds_say_in_words_what_they_hold(value: float) -> None:
    bounds = Bounds(above=0, maximum=1)

    assert bounds.words == "above 0, at most 1"
    assert bounds.hold(value) is (0 < value <= 1)
