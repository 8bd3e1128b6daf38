"""A published configuration says of every module what the adapter's own says, or is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.registry.peft_folders import Tensor, write_base
from parfocal.registry import FolderRegistry, Publication, describe_base, locate_base
from parfocal.registry.errors import MalformedFile, UnsupportedAdapter
from parfocal.registry.peft.config import read_peft_config
from parfocal.registry.peft.lora_tensors import LoraModule, StoredFactor
from parfocal.registry.peft.missing_modules import missing_warnings
from parfocal.registry.peft.pattern_graph import ModulePath
from parfocal.registry.peft.rereading import check_published_config
from parfocal.registry.peft.safetensors_header import TensorSpan
from parfocal.registry.values import TargetModule, dumps

Write = Callable[..., Path]
NAMES = ["q_proj", "k_proj", "down_proj"]
PATHS = [f"model.layers.{layer}.{name}" for layer in range(12) for name in NAMES]
KEYS = st.sampled_from([
    "q_proj", ".*_proj", r"layers\.1\..*", "layers.1.q_proj", r"^model\.layers\.3\.q_proj$", "k_proj$",
    "(q|k)_proj", r"(?:layers\.)\d+\.down_proj", "model.layers.[2-5].*", "proj",
])  # fmt: skip


@given(
    st.dictionaries(KEYS, st.integers(1, 256), max_size=5),
    st.dictionaries(KEYS, st.sampled_from([0.5, 1, 16, 1e30, 1e-30]), max_size=5),
    st.sampled_from([NAMES, ".*_proj", "all-linear", r".*\.(q|k|down)_proj"]),
    st.booleans(),
)
def test_every_module_keeps_rank_and_alpha(
    ranks: dict[str, int], alphas: dict[str, float], targets: object, moved: bool
) -> None:
    written = {"peft_type": "LORA", "target_modules": targets, "rank_pattern": ranks, "alpha_pattern": alphas}
    config = read_peft_config(json.dumps(written).encode())
    paths = {path: path.replace("model.", "model.language_model.") if moved else path for path in PATHS}
    modules = [ModulePath(path, config.work) for path in PATHS]
    published = dumps(config.normalised("base", None, paths))
    check_published_config(
        published,
        [TargetModule(paths[m.text], 8, 8, config.rank_of(m), config.alpha_of(m)) for m in modules],
    )


def test_a_configuration_that_would_say_something_else_is_refused() -> None:
    data = b'{"peft_type":"LORA","r":8,"target_modules":["q_proj"]}'
    good = TargetModule("model.layers.0.q_proj", 8, 8, 8, 8.0)
    check_published_config(data, [good])
    for wrong in (
        TargetModule("model.layers.0.q_proj", 8, 8, 4, 8.0),
        TargetModule("model.layers.0.q_proj", 8, 8, 8, 16.0),
        TargetModule("model.layers.0.k_proj", 8, 8, 8, 8.0),
    ):
        with pytest.raises(MalformedFile, match=wrong.path):
            check_published_config(data, [good, wrong])


def test_what_was_published_can_be_published_again(
    registry: FolderRegistry, adapter: Write, publication: Publication, tmp_path: Path
) -> None:
    """With a key of its own for each module, as publishing spells patterns out."""
    first = registry.publish(
        "x", adapter(config={"rank_pattern": {r"layers\.[01]\..*": 4}, "r": 8}), publication
    )
    assert registry.publish("y", registry.materialise(first.digest), publication).digest == first.digest


@pytest.mark.parametrize(
    ("config", "error", "field"),
    [
        ({"lora_alpha": 10**400}, MalformedFile, "lora_alpha"),
        ({"lora_alpha": 1e39}, MalformedFile, "lora_alpha"),
        ({"alpha_pattern": {"q_proj": 10**4000}}, MalformedFile, "alpha_pattern.q_proj"),
        ({"base_model_name_or_path": "models--" * 100_000}, MalformedFile, "base_model_name_or_path"),
        ({"revision": "r" * 1001}, MalformedFile, "revision"),
        ({"layers_to_transform": [0], "layers_pattern": [f"l{n}" for n in range(17)]}, UnsupportedAdapter,
         "layers_pattern"),
        ({"target_modules": ["q_proj"] * 300_000}, MalformedFile, "adapter_config.json"),
        ({"target_modules": "(?=.{999})" * 300}, MalformedFile, "target_modules"),
        ({"exclude_modules": "a{9999}"}, MalformedFile, "exclude_modules"),
    ],
)  # fmt: skip
def test_values_beyond_what_is_read_are_refused(
    config: dict[str, object], error: type[Exception], field: str
) -> None:
    fields = {"peft_type": "LORA", "target_modules": ["q_proj"], **config}
    with pytest.raises(error) as refused:
        read_peft_config(json.dumps(fields).encode())
    assert getattr(refused.value, "field", None) == field


def test_thousands_of_names_in_hundreds_of_layers_are_not_multiplied() -> None:
    """A thousand layers times twenty thousand names would be twenty million modules to look for."""
    span = TensorSpan("F32", (1, 1), 0, 4)
    factor = StoredFactor("a", span)
    modules = [
        LoraModule(TargetModule(path, 1, 1, 8, 8.0), path, factor, factor)
        for path in (f"model.layers.999.m{number}" for number in range(20_000))
    ]
    config = read_peft_config(b'{"peft_type":"LORA","target_modules":"all-linear"}')
    assert missing_warnings(modules, config, None) == ()
    assert missing_warnings(modules[:20], config, None) != ()


def test_a_module_nested_too_deeply_is_refused(
    registry: FolderRegistry, adapter: Write, tmp_path: Path
) -> None:
    base = describe_base(
        locate_base(str(write_base(tmp_path / "other", model_type="strange")), weights=False)
    )
    path = ".".join(["a"] * 65)
    tensors = {f"base_model.model.{path}.q_proj.lora_{side}.weight": Tensor((4, 4)) for side in ("A", "B")}
    with pytest.raises(UnsupportedAdapter, match="nested more than 64 deep"):
        registry.publish("x", adapter(tensors=tensors), Publication(base))
