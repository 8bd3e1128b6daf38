"""Keys that need no pattern are found at once, and mean what the same keys mean as patterns."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry.peft.path_pattern import PathPattern
from parfocal.registry.peft.pattern_graph import ModulePath, PatternError, Work
from parfocal.registry.peft.plain_keys import PlainKeys

WORDS = st.text("ab_.", min_size=1, max_size=6)
KEYS = WORDS | WORDS.map(lambda word: f"^{re.escape(word)}$")


@given(st.lists(KEYS, unique=True, max_size=6), WORDS)
def test_the_first_key_that_matches_is_found(keys: list[str], path: str) -> None:
    plain = PlainKeys()
    assert all(plain.add(key, place) for place, key in enumerate(keys))
    matching = (
        place for place, key in enumerate(keys) if PathPattern.at_the_end(key).matches(ModulePath(path))
    )
    assert plain.first(ModulePath(path)) == next(matching, None)


@pytest.mark.parametrize("key", ["", "a*", "^a", "a$", "^a.b$", "(a)", r"a\.b", "a b", "^$", "a" * 501])
def test_keys_of_other_forms_are_left_to_patterns(key: str) -> None:
    assert not PlainKeys().add(key, 0)


def test_twenty_thousand_keys_for_twenty_thousand_modules_fit_the_budget() -> None:
    """As publishing spells them out, and as EVA and AdaLoRA write them."""
    paths = [
        f"model.layers.{layer}.mlp.experts.{expert}.{name}_proj"
        for layer in range(48)
        for expert in range(128)
        for name in ("gate", "up", "down")
    ]
    work = Work()
    for spelled in (lambda path: path, lambda path: f"^{re.escape(path)}$"):
        plain = PlainKeys()
        for place, path in enumerate(paths):
            plain.add(spelled(path), place)
        assert [plain.first(ModulePath(path, work)) for path in paths] == list(range(len(paths)))


def test_keys_made_to_be_tried_one_by_one_exhaust_the_budget() -> None:
    """Every key has its dots elsewhere, so that each must be compared."""
    plain, work = PlainKeys(), Work(steps=100_000)
    for number in range(4096):
        plain.add(f"{number:012b}".replace("0", ".").replace("1", "b"), number)
    with pytest.raises(PatternError, match="too many steps"):
        for _ in range(1000):
            plain.first(ModulePath("a" * 12, work))
