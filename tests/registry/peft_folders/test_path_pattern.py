"""A pattern matches what Python's `re` matches, or is refused; and none takes long, whatever is written."""

import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry.peft.path_pattern import PathPattern
from parfocal.registry.peft.pattern_graph import ModulePath, PatternError, Work

ATOMS = st.sampled_from([
    "a", "b", ".", r"\.", "[ab]", "[a-c]", r"\d", r"\w", "1", "^", "$", r"\b", r"\B", "[^a]", r"[^\d.]",
    "[]a]", "A", "{", r"\S", "a{2}", "b{,2}", "[ab]{1,}", "(?i:a)", "(?P<layer>a)", r"\A", r"\Z",
])  # fmt: skip
REPEATED = st.sampled_from(["a*", "b+", ".*", ".?", r"\d+", "[ab]*", r"\.?", ".*?", "a+?", "b??", "a{1,3}?"])
REGULAR = st.recursive(
    ATOMS | REPEATED,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        inner.map("({})".format),
        inner.map("(?:{})+".format),
        inner.map("(?:{})*".format),
        inner.map("(?:{}){{1,2}}".format),
        inner.map("(?={})".format),
        inner.map("(?!{})".format),
        inner.map("(?<={})".format),
        inner.map("(?<!{})".format),
    ),
    max_leaves=8,
)
UNSLOTH = (
    r"(?:.*?(?:vision|image|visual|patch_embed|language|text).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense)"
    r".*?(?:k_proj|v_proj|q_proj|o_proj|gate_proj|up_proj|down_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\."
    r"(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense)\.(?:(?:k_proj|v_proj|q_proj|o_proj|gate_proj|up_proj)))"
)
SWIFT = r"^(language_model|model)(?!.*(lm_head|output|emb|wte|shared)).*"
LLAMA_FACTORY = r"^(?!.*(?:visual|patch_embed)).*(?:q_proj|v_proj|down_proj).*"


def compiled(pattern: str) -> re.Pattern[str] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return re.compile(pattern)
        except re.error:
            return None


@given(REGULAR, st.text("ab1._cA", max_size=10), st.booleans())
def test_a_pattern_matches_what_python_matches(pattern: str, text: str, at_the_end: bool) -> None:
    expected = compiled(rf"(.*\.)?({pattern})$" if at_the_end else pattern)
    try:
        mine = PathPattern.at_the_end(pattern) if at_the_end else PathPattern(pattern)
    except PatternError:
        assert expected is None
        return
    assert expected is not None
    assert mine.matches(ModulePath(text)) == (expected.fullmatch(text) is not None)


@given(st.text("ab.*+?()[]|^$\\d-{},<=!:iP>1", max_size=12))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        pattern = PathPattern(text)
    except PatternError:
        return
    for path in ("a.b", "", "a", "ab1"):
        assert pattern.matches(ModulePath(path)) == (re.fullmatch(text, path) is not None)


@pytest.mark.parametrize("pattern", [UNSLOTH, SWIFT, LLAMA_FACTORY, r"(?i)MODEL\..*", ".*"])
@pytest.mark.parametrize(
    "path",
    [
        "model.layers.11.self_attn.q_proj",
        "model.layers.11.mlp.down_proj",
        "model.visual.blocks.3.attn.q_proj",
        "model.language_model.layers.0.self_attn.o_proj",
        "lm_head",
    ],
)
def test_the_patterns_that_trainers_write_mean_what_they_mean_to_python(pattern: str, path: str) -> None:
    assert PathPattern(pattern).matches(ModulePath(path)) == (re.fullmatch(pattern, path) is not None)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a|a)" * 90 + "x",
        "(.*)" * 100 + "x",
        "(" * 18 + "a+" + ")+" * 18 + "x",
        "(a*b?)*" * 40 + "x",
        "(?:(?:(?:a+)+)+)+b",
        "(?=(?:(?:a+)+)+$)(?!(a|aa)+$).*",
    ],
)
def test_a_pattern_that_would_keep_python_busy_for_ages_does_not(pattern: str) -> None:
    """Without sets of positions this test does not end."""
    assert not PathPattern(pattern).matches(ModulePath("a" * 400))


@pytest.mark.parametrize(
    "pattern",
    [r"(a)\1", "(?P<x>a)(?P=x)", "(a)?(?(1)b|c)", "(?>a)", "a*+", "a{2}+", "(?x)a", r"\x41", "[[a]"],
)
def test_what_needs_a_memory_or_no_path_needs_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        PathPattern(pattern)


@pytest.mark.parametrize("pattern", ["(a{99}){99}", "((?:){999}){999}", "a{1001}" * 3])
def test_a_pattern_that_would_be_large_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError, match="too large"):
        PathPattern(pattern)


def test_the_paths_of_an_adapter_share_one_budget() -> None:
    pattern, work = PathPattern("(.*a.*b|.*b.*a)*c"), Work(steps=5000)
    with pytest.raises(PatternError, match="too many steps"):
        for _ in range(1000):
            pattern.matches(ModulePath("ab" * 50, work))


@given(REGULAR, st.lists(st.text("ab1._cA", max_size=10), max_size=4))
def test_a_budget_ends_a_match_and_changes_none(pattern: str, texts: list[str]) -> None:
    """What a small budget lets through is what an ample one says."""
    try:
        ample, small = PathPattern(pattern), PathPattern(pattern, Work(steps=400))
    except PatternError:
        return
    work = Work(steps=60)
    for text in texts:
        try:
            found = small.matches(ModulePath(text, work))
        except PatternError as refused:
            assert "too many steps" in str(refused)
            return
        assert found == ample.matches(ModulePath(text))


@pytest.mark.parametrize(
    "pattern",
    [
        "(?i)" + "[a-z]*" * 100 + "x",
        "((((((a|b)*|c)*|d)*|e)*|f)*|g)*x",
        "(a{0,9}){0,9}(b{0,9}){0,9}x",
        "(?:a?){200}a{200}x",
        "(?=.*(?=.*(?=.*(?=.*x))))" * 20,
        "(?<!x)" * 200 + "a*x",
        "|".join("a" * n for n in range(1, 60)) + "|x",
        r"(\w+\.)*(\w+\.)*(\w+\.)*x",
    ],
)
@pytest.mark.parametrize("text", ["a" * 400, "a." * 200, "ab" * 200])
def test_nested_repeats_and_choices_over_long_names_end(pattern: str, text: str) -> None:
    try:
        assert not PathPattern(pattern).matches(ModulePath(text))
    except PatternError as refused:
        assert "steps" in str(refused) or "large" in str(refused)
