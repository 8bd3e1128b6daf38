"""rank_pattern and alpha_pattern resolve exactly as PEFT resolves them."""

import ast
import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry.errors import MalformedFile
from parfocal.registry.module_patterns import ModulePatterns

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
                     r"layers\.\d+\.mlp.down_proj", "(q|k)_proj", "q_proj|k_proj"]),
)  # fmt: skip


@given(st.dictionaries(KEYS, st.integers(1, 64), max_size=5), PATHS)
def test_patterns_resolve_as_in_peft(patterns: dict[str, int], path: str) -> None:
    expected = patterns.get(peft_rule()(list(patterns), path), 8)
    assert ModulePatterns(patterns, "rank_pattern").value_for(path, 8) == expected


REFUSED = [
    "(a+)+$",
    "a{9}",
    "(?=x)",
    ".*.*.*",
    "",
    "a b",
    "[",
    "(",
    "x" * 501,
    "(a|a)" * 5,
    "|".join("a" * 18),
]


@pytest.mark.parametrize("key", REFUSED)
def test_a_key_that_is_no_plain_pattern_is_refused(key: str) -> None:
    with pytest.raises(MalformedFile, match="rank_pattern") as refused:
        ModulePatterns({key: 8}, "rank_pattern")
    assert refused.value.field == "rank_pattern"


def test_too_many_keys_are_refused() -> None:
    with pytest.raises(MalformedFile, match="4097 keys"):
        ModulePatterns({f"m{number}": 8 for number in range(4097)}, "rank_pattern")


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
