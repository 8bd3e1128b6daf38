"""rank_pattern and alpha_pattern resolve exactly as PEFT resolves them, and no pattern takes long."""

import ast
import importlib.util
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry.errors import MalformedFile
from parfocal.registry.peft.module_patterns import ModulePatterns
from parfocal.registry.peft.pattern_graph import ModulePath, Work

PATHS = st.builds(
    "model.layers.{}.{}".format,
    st.integers(0, 12),
    st.sampled_from(["self_attn.q_proj", "self_attn.k_proj", "mlp.down_proj", "mlp.gate_up_proj"]),
)
KEYS = st.one_of(
    PATHS,
    PATHS.map(lambda path: f"^{path}"),
    PATHS.map(re.escape),
    st.sampled_from(["q_proj", "proj", "down_proj", ".*_proj", r"layers\.1\..*", "layers.[0-3].mlp.down_proj",
                     "^model.*$",
                     r"layers\.\d+\.mlp.down_proj", "(q|k)_proj", "q_proj|k_proj", r"(?:\w+\.)+k_proj"]),
)  # fmt: skip


@given(st.dictionaries(KEYS, st.integers(1, 64), max_size=5), PATHS)
def test_patterns_resolve_as_in_peft(patterns: dict[str, int], path: str) -> None:
    expected = patterns.get(peft_rule()(list(patterns), path), 8)
    assert ModulePatterns(patterns, "rank_pattern").value_for(ModulePath(path), 8) == expected


@given(st.dictionaries(KEYS, st.integers(1, 64), max_size=5), st.sets(PATHS, max_size=8))
def test_published_patterns_mean_to_peft_in_sorted_order_what_they_meant(
    patterns: dict[str, int], paths: set[str]
) -> None:
    published = ModulePatterns(patterns, "rank_pattern").published({path: path for path in paths}, 8)
    for path in paths:
        expected = patterns.get(peft_rule()(list(patterns), path), 8)
        assert published.get(peft_rule()(sorted(published), path), 8) == expected


def test_plain_names_are_published_as_they_were_written() -> None:
    patterns = {"q_proj": 4, "layers.0.mlp.down_proj": 2}
    paths = ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj"]
    published = ModulePatterns(patterns, "rank_pattern").published({path: path for path in paths}, 8)
    assert published == patterns


def test_keys_of_modules_that_moved_are_spelled_out_with_their_new_paths() -> None:
    moved = {f"language_model.layers.{n}.q_proj": f"model.layers.{n}.q_proj" for n in (0, 1)}
    published = ModulePatterns({"language_model.layers.0.q_proj": 2}, "rank_pattern").published(moved, 8)
    assert published == {r"^model\.layers\.0\.q_proj$": 2}


def test_names_whose_order_matters_are_spelled_out() -> None:
    published = ModulePatterns({"q_proj": 4, "layers.0.q_proj": 2}, "rank_pattern").published(
        {"layers.0.q_proj": "layers.0.q_proj"}, 8
    )
    assert published == {r"^layers\.0\.q_proj$": 4}


@pytest.mark.parametrize("key", ["[", "(", ")", "a**", "*", "a++", r"(a)\1", "(?i)a", "(" * 30 + ")" * 30])
def test_a_key_that_is_no_pattern_or_needs_a_memory_is_refused(key: str) -> None:
    with pytest.raises(MalformedFile, match="rank_pattern has a key") as refused:
        ModulePatterns({key: 8}, "rank_pattern")
    assert refused.value.field == "rank_pattern"


@pytest.mark.parametrize("key", ["", "x" * 501])
def test_a_key_of_no_or_of_any_length_is_refused(key: str) -> None:
    with pytest.raises(MalformedFile, match="characters"):
        ModulePatterns({key: 8}, "rank_pattern")


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("a{900}", "too large"),  # six characters of text, eighteen hundred states
        (".{0,999}", "too large"),
        ("(?=.{999})" * 40, "too large"),
        ("(?=.{999})", "too large"),
        ("(a|b)*c" * 60, "too large"),
        ("[" + "a" * 480 + "]", "too many steps"),  # one state of much text
    ],
)
def test_many_keys_that_are_large_together_are_refused(key: str, why: str) -> None:
    with pytest.raises(MalformedFile, match=why):
        ModulePatterns({f"{key}x{number}": 8 for number in range(20_000)}, "rank_pattern")


def test_both_patterns_of_an_adapter_share_one_budget() -> None:
    work = Work(states=2500)
    ModulePatterns({"a{700}": 8}, "rank_pattern", work)
    with pytest.raises(MalformedFile, match=r"alpha_pattern .*too large together"):
        ModulePatterns({"a{700}": 8.0}, "alpha_pattern", work)


@pytest.mark.parametrize(
    "key",
    ["a.{900}", "z{900}", "(?=z{900})", ".*" * 200 + "z", "|".join("abcdefghijklmnop" * 15), "[^z]" * 100],
)
def test_keys_that_fail_early_on_many_modules_end_at_the_budget(key: str) -> None:
    """A match that costs little must cost little in all: this does not end where each walks every state."""
    work = Work(steps=100_000)
    patterns = ModulePatterns({f"{key}{number}": 8 for number in range(20)}, "rank_pattern", work)
    with pytest.raises(MalformedFile, match="too many steps"):
        for number in range(20_000):
            patterns.value_for(ModulePath(f"model.layers.{number}.q_proj", work), 8)


@cache
def peft_rule() -> Callable[[Sequence[str], str], str]:
    """Returns PEFT's own function, compiled from its source: importing it would load torch."""
    package = importlib.util.find_spec("peft")
    assert package is not None and package.origin is not None
    tree = ast.parse((Path(package.origin).parent / "utils/other.py").read_text())
    [function] = [node for node in tree.body if getattr(node, "name", "") == "get_pattern_key"]
    scope: dict[str, object] = {"re": re, "Sequence": Sequence}
    exec(compile(ast.Module([function], []), "peft", "exec"), scope)
    rule = scope["get_pattern_key"]
    assert callable(rule)
    return rule
