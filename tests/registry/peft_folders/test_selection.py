"""The modules that a configuration chooses are those that PEFT's own function chooses."""

import ast
import importlib.util
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.registry.peft_folders import Adapter, peft_config
from parfocal.registry.errors import AdapterRefused, MalformedFile, UnsupportedAdapter
from parfocal.registry.peft.config import PeftConfig, read_peft_config
from parfocal.registry.peft.pattern_graph import ModulePath

Q0 = "model.layers.0.self_attn.q_proj"
Q1 = "model.layers.1.self_attn.q_proj"
PATHS = st.builds(
    "{}{}.{}.{}".format,
    st.sampled_from(["", "model.", "model.language_model.", "model.layers.2."]),
    st.sampled_from(["layers", "h", "blocks"]),
    st.integers(0, 12),
    st.sampled_from([
        "self_attn.q_proj", "self_attn.k_proj", "mlp.down_proj", "mlp.experts.3.up_proj", "q_proj",
        "7.q_proj",
    ]),
)  # fmt: skip
NAMES = PATHS | st.sampled_from([
    "q_proj", "k_proj", "self_attn.q_proj", "proj", "0.q_proj", "lm_head", "3.up_proj", ""
])  # fmt: skip
EXPRESSIONS = st.sampled_from([
    r".*layers\.0\..*_proj", r"model\.layers\.\d+\.self_attn\.(q|k)_proj", "q_proj",
    r".*\.(?!k_proj)\w+_proj", ".*", r"^model.*(?:q_proj|down_proj)$",
    r"(?:.*?(?:language|layers).*?(?:self_attn|mlp).*?(?:q_proj|down_proj).*?)",
])  # fmt: skip
SELECTIONS = st.fixed_dictionaries({
    "target_modules": st.lists(NAMES, min_size=1, max_size=4) | EXPRESSIONS,
    "exclude_modules": st.none() | st.lists(NAMES, max_size=2) | EXPRESSIONS | st.just(""),
    "layers_to_transform": st.none() | st.integers(-1, 4) | st.lists(st.integers(0, 4), max_size=3),
    "layers_pattern": st.none()
    | st.sampled_from(["layers", "h", "blocks", ""])
    | st.lists(st.sampled_from(["layers", "h", "blocks"]), max_size=2),
})  # fmt: skip


def read(**fields: object) -> PeftConfig:
    return read_peft_config(json.dumps({**peft_config(Adapter()), **fields}).encode())


@given(SELECTIONS, PATHS)
def test_a_module_is_chosen_as_by_peft(fields: dict[str, object], path: str) -> None:
    if peft_refuses(fields):
        with pytest.raises(MalformedFile, match="PEFT"):
            read(**fields)
        return
    config = SimpleNamespace(**fields, modules_to_save=None, target_parameters=None)
    chosen = bool(peft_rule()(config, path))
    assert (read(**fields).selection.rejects(ModulePath(path)) is None) == chosen


def peft_refuses(fields: dict[str, object]) -> bool:
    """The rules of LoraConfig.__post_init__."""
    beside_text = isinstance(fields["target_modules"], str) and (
        fields["layers_to_transform"] is not None or fields["layers_pattern"] is not None
    )
    return beside_text or bool(fields["layers_pattern"] and fields["layers_to_transform"] is None)


@pytest.mark.parametrize(
    ("fields", "path", "field"),
    [
        ({"layers_to_transform": [0]}, Q1, "layers_to_transform"),
        ({"layers_to_transform": 1}, Q0, "layers_to_transform"),
        ({"exclude_modules": ["layers.0.self_attn.q_proj"]}, Q0, "exclude_modules"),
        ({"exclude_modules": r".*\.0\..*"}, Q0, "exclude_modules"),
        ({"target_modules": r".*layers\.0\..*_proj"}, Q1, "target_modules"),
        ({"target_modules": ["k_proj"]}, Q1, "target_modules"),
    ],
)
def test_the_field_that_leaves_a_module_out_is_named(
    fields: dict[str, object], path: str, field: str
) -> None:
    assert read(**fields).selection.rejects(ModulePath(path)) == field


@pytest.mark.parametrize("spelling", ["all-linear", "All-Linear"])
def test_all_linear_chooses_everything_but_the_output_layer(spelling: str) -> None:
    selection = read(target_modules=spelling, exclude_modules=["k_proj"]).selection
    assert selection.rejects(ModulePath("model.layers.0.mixer.in_proj")) is None
    assert selection.rejects(ModulePath("lm_head")) == "target_modules"
    assert selection.rejects(ModulePath("model.layers.0.self_attn.k_proj")) == "exclude_modules"


@pytest.mark.parametrize(
    ("fields", "field", "error"),
    [
        ({"target_modules": None}, "target_modules", MalformedFile),
        ({"target_modules": []}, "target_modules", MalformedFile),
        ({"target_modules": ""}, "target_modules", MalformedFile),
        ({"target_modules": "dummy-target-modules"}, "target_modules", MalformedFile),
        ({"target_modules": {"q_proj": 1}}, "target_modules", MalformedFile),
        ({"target_modules": "(q_proj"}, "target_modules", MalformedFile),
        ({"target_modules": r"(q)_proj\1"}, "target_modules", MalformedFile),
        ({"target_modules": "a" * 4001}, "target_modules", MalformedFile),
        ({"exclude_modules": [1]}, "exclude_modules", MalformedFile),
        ({"exclude_modules": "[q"}, "exclude_modules", MalformedFile),
        ({"layers_to_transform": True}, "layers_to_transform", MalformedFile),
        ({"layers_to_transform": [0.5]}, "layers_to_transform", MalformedFile),
        ({"layers_to_transform": "0"}, "layers_to_transform", MalformedFile),
        ({"layers_to_transform": [0], "layers_pattern": 3}, "layers_pattern", MalformedFile),
        ({"layers_to_transform": [0], "layers_pattern": "h|layers"}, "layers_pattern", UnsupportedAdapter),
        ({"layers_to_transform": [0], "layers_pattern": [""]}, "layers_pattern", UnsupportedAdapter),
    ],
)
def test_a_selection_that_cannot_be_obeyed_is_refused_by_name(
    fields: dict[str, object], field: str, error: type[AdapterRefused]
) -> None:
    with pytest.raises(error, match=field) as refused:
        read(**fields)
    assert refused.value.field == field


def test_whole_paths_that_peft_would_shorten_are_not_restricted_to_layers() -> None:
    paths = [f"model.layers.{layer}.self_attn.q_proj" for layer in range(20)]
    third = ModulePath(paths[3])
    with pytest.raises(UnsupportedAdapter, match="leave layers_to_transform out"):
        read(target_modules=paths, layers_to_transform=[0]).selection.rejects(third)
    assert read(target_modules=paths[:19], layers_to_transform=[0]).selection.rejects(third) is None


def test_a_pattern_that_takes_too_long_is_refused_and_not_waited_for() -> None:
    selection = read(target_modules="(.*a.*e|.*e.*a)*(.*l.*y|.*y.*l)*x").selection
    work = ModulePath("").work
    with pytest.raises(MalformedFile, match="target_modules: it takes too many steps"):
        for _ in range(100_000):
            selection.rejects(ModulePath("model.layers." * 30 + "x_proj", work))


@cache
def peft_rule() -> Callable[[Any, str], object]:
    """Compiles PEFT's own function from its source: importing it would load torch."""
    package = importlib.util.find_spec("peft")
    assert package is not None and package.origin is not None
    root = Path(package.origin).parent
    wanted = {"check_target_module_exists", "_ExcludedModule", "match_target_against_key"}
    trees = [ast.parse((root / file).read_text()) for file in ("tuners/tuners_utils.py", "utils/other.py")]
    nodes = [node for tree in trees for node in tree.body if getattr(node, "name", "") in wanted]
    assert len(nodes) == len(wanted)
    scope: dict[str, Any] = {"re": re, "Optional": Optional}
    exec(compile(ast.Module(nodes, []), "peft", "exec"), scope)
    rule: Callable[[Any, str], object] = scope["check_target_module_exists"]
    return rule
