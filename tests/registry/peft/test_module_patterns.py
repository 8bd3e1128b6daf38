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
from parfocal.registry.peft.path_pattern import ModulePath, PathPattern, PatternError

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
ATOMS = st.sampled_from(["a", "b", ".", r"\.", "[ab]", "[a-c]", r"\d", r"\w", "1", "^", "$"])
REPEATED = st.sampled_from(["a*", "b+", ".*", ".?", r"\d+", "[ab]*", r"\.?"])
REGULAR = st.recursive(
    ATOMS | REPEATED,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        inner.map("({})".format),
        inner.map("(?:{})+".format),
    ),
    max_leaves=8,
)


@given(REGULAR, st.text("ab1._c", max_size=10))
def test_a_pattern_matches_what_python_matches(pattern: str, text: str) -> None:
    expected = re.match(rf"(.*\.)?({pattern})$", text) is not None
    assert PathPattern(pattern).matches(ModulePath(text)) == expected


@given(st.dictionaries(KEYS, st.integers(1, 64), max_size=5), PATHS)
def test_patterns_resolve_as_in_peft(patterns: dict[str, int], path: str) -> None:
    expected = patterns.get(peft_rule()(list(patterns), path), 8)
    assert ModulePatterns(patterns, "rank_pattern").value_for(path, 8) == expected


@given(st.dictionaries(KEYS, st.integers(1, 64), max_size=5), st.sets(PATHS, max_size=8))
def test_published_patterns_mean_to_peft_in_sorted_order_what_they_meant(
    patterns: dict[str, int], paths: set[str]
) -> None:
    published = ModulePatterns(patterns, "rank_pattern").published(sorted(paths), 8)
    for path in paths:
        expected = patterns.get(peft_rule()(list(patterns), path), 8)
        assert published.get(peft_rule()(sorted(published), path), 8) == expected


def test_plain_names_are_published_as_they_were_written() -> None:
    patterns = {"q_proj": 4, "layers.0.mlp.down_proj": 2}
    paths = ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj"]
    assert ModulePatterns(patterns, "rank_pattern").published(paths, 8) == patterns


def test_names_whose_order_matters_are_spelled_out() -> None:
    published = ModulePatterns({"q_proj": 4, "layers.0.q_proj": 2}, "rank_pattern").published(
        ["layers.0.q_proj"], 8
    )
    assert published == {r"^layers\.0\.q_proj$": 4}


@pytest.mark.parametrize(
    "pattern", ["(a|a)" * 90 + "x", "(.*)" * 100 + "x", "(" * 19 + "a+" + ")+" * 19 + "x", ".*" * 200]
)
def test_a_pattern_that_would_keep_python_busy_for_ages_does_not(pattern: str) -> None:
    """Without the one-pass matcher this test does not end."""
    assert PathPattern(pattern).matches(ModulePath("a" * 400)) == (pattern == ".*" * 200)


@pytest.mark.parametrize("key", ["a{9}", "(?=x)", "a b", "[", "(", ")", "a)b", "a**", "*", "a*?", r"\b",
                                 r"\1", "[^a]", "[b-a]", "[]", "\\", "é", "(" * 30 + ")" * 30])  # fmt: skip
def test_a_key_that_paths_do_not_need_is_refused(key: str) -> None:
    with pytest.raises(MalformedFile, match="rank_pattern has a key") as refused:
        ModulePatterns({key: 8}, "rank_pattern")
    assert refused.value.field == "rank_pattern"


@pytest.mark.parametrize("key", ["", "x" * 501])
def test_a_key_of_no_or_of_any_length_is_refused(key: str) -> None:
    with pytest.raises(MalformedFile, match="characters"):
        ModulePatterns({key: 8}, "rank_pattern")


@given(st.text("ab.*+?()[]|^$\\d-{}", max_size=12))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        pattern = PathPattern(text)
    except PatternError:
        return
    assert pattern.matches(ModulePath("a.b")) == (re.match(rf"(.*\.)?({text})$", "a.b") is not None)


def test_more_keys_than_can_be_matched_are_refused() -> None:
    patterns = ModulePatterns({f"layers.{number}.mlp.down_proj": 8 for number in range(600)}, "rank_pattern")
    patterns.check_work(600)
    with pytest.raises(MalformedFile, match="too many for 30000 modules"):
        patterns.check_work(30_000)


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
