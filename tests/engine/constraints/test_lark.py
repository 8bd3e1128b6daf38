"""A grammar means the same to llguidance as on paper, however its parts are put together there."""

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from parfocal.engine import ConstraintRefused
from parfocal.engine.constraints import Grammar
from parfocal.engine.constraints.gbnf import ROOT, read_grammar
from parfocal.engine.constraints.grammar_texts import grammar_text
from parfocal.engine.constraints.guided import GuidedVocabulary, vocabulary_text
from parfocal.engine.constraints.lark import lark_of
from parfocal.engine.constraints.productions import (
    Characters,
    Either,
    Name,
    Part,
    Productions,
    Repeat,
    Series,
)
from parfocal.registry import locate_base

pytest.importorskip("llguidance")

TEXTS = ["".join(one) for length in range(4) for one in product("abc", repeat=length)]
CHARACTERS = st.sampled_from([(("a", "a"),), (("b", "b"),), (("a", "b"),), (("a", "c"),)]).map(
    lambda ranges: Characters(tuple((ord(low), ord(high)) for low, high in ranges))
)
PARTS = st.recursive(
    CHARACTERS | st.sampled_from(["root", "x", "y"]).map(Name),
    lambda inside: (
        st.lists(inside, max_size=3).map(lambda parts: Series(tuple(parts)))
        | st.lists(inside, min_size=2, max_size=3).map(lambda options: Either(tuple(options)))
        | st.builds(Repeat, inside, st.sampled_from([0, 1, 2]), st.sampled_from([None, 2]))
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(locate_base("tiny", weights=False).folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def vocabulary(tokenizer: Tokenizer) -> GuidedVocabulary:
    return GuidedVocabulary(vocabulary_text(tokenizer), tokenizer.get_vocab_size(), (2,))


class OnPaper:
    """Says which ends a rule can reach in a text, by going through all rules until nothing is added."""

    def __init__(self, rules: dict[str, Part], text: str) -> None:
        self.rules, self.text = rules, text
        self.found: dict[tuple[str, int], set[int]] = {
            (name, at): set() for name in rules for at in range(len(text) + 1)
        }
        before = -1
        while before != (before := sum(map(len, self.found.values()))):
            for (name, at), ends in self.found.items():
                ends |= set(self.ends(rules[name], at))

    def ends(self, part: Part, at: int) -> Iterator[int]:
        """Yields where a part that begins at `at` may end, as far as is known."""
        match part:
            case Characters(ranges):
                if at < len(self.text) and any(a <= ord(self.text[at]) <= b for a, b in ranges):
                    yield at + 1
            case Name(name):
                yield from tuple(self.found[name, at])
            case Series(parts):
                yield from self._series(parts, at)
            case Either(options):
                for option in options:
                    yield from self.ends(option, at)
            case Repeat(inner, least, most):
                yield from self._repeated(inner, least, most, at)

    def _series(self, parts: tuple[Part, ...], at: int) -> set[int]:
        places = {at}
        for part in parts:
            places = {end for place in places for end in self.ends(part, place)}
        return places

    def _repeated(self, inner: Part, least: int, most: int | None, at: int) -> set[int]:
        places, found = {at}, set[int]()
        for times in range((most if most is not None else least + len(self.text) + 1) + 1):
            if times >= least:
                found |= places
            places = {end for place in places for end in self.ends(inner, place)}
        return found


def accepted(vocabulary: GuidedVocabulary, tokenizer: Tokenizer, grammar: str) -> set[str]:
    constraint = vocabulary.constraint('%llguidance {"no_forcing": true}\n' + grammar)
    found = set[str]()
    for text in TEXTS:
        state = constraint.start()
        for one in tokenizer.encode(text, add_special_tokens=False).ids:
            if state.is_complete or not state.allowed()[one >> 3] >> (one & 7) & 1:
                break
            state.accept(one)
        else:
            if state.is_satisfied:
                found.add(text)
    return found


@settings(max_examples=50)
@given(root=PARTS, x=PARTS, y=PARTS)
def test_what_a_grammar_derives_is_what_is_accepted(
    root: Part, x: Part, y: Part, vocabulary: GuidedVocabulary, tokenizer: Tokenizer
) -> None:
    rules = {"root": root, "x": x, "y": y}
    expected = {text for text in TEXTS if len(text) in OnPaper(rules, text).found["root", 0]}
    try:
        found = accepted(vocabulary, tokenizer, lark_of(Productions(rules), "root"))
    except ConstraintRefused:
        found = set()

    assert found == expected


@pytest.mark.parametrize(
    ("grammar", "whole"),
    [
        ('root ::= [a-z]* "ab"', True),
        ('root ::= "(" root? ")"', False),
    ],
)
def test_a_grammar_without_recursion_is_one_expression(grammar: str, whole: bool) -> None:
    text = lark_of(read_grammar(grammar), ROOT)

    assert (text.count("/") == 2) is whole


def test_a_quoted_string_is_one_lexeme_and_what_could_be_another_is_not() -> None:
    quoted = (
        'root ::= "[" (string | root)* "]"\nstring ::= "\\"" ([^"\\\\] | "\\\\" .)* "\\"" ws\nws ::= " "?'
    )
    bare = quoted.replace("(string | root)", '(string | root | [a-z"])')

    assert len(max(lark_of(read_grammar(quoted), ROOT).split(), key=len)) > 80
    assert len(max(lark_of(read_grammar(bare), ROOT).split(), key=len)) < 80


def lines(pattern: str, count: int) -> str:
    """Returns a rule for each number: `{0}` stands for it, `{1}` for the next."""
    return "\n".join(pattern.format(number, number + 1) for number in range(count))


@pytest.mark.parametrize(
    "grammar",
    [
        "root ::= " + " ".join(f"r{n}" for n in range(900)) + "\n" + lines('r{0} ::= "a" root', 900),
        'root ::= "b" root | a0\n' + lines("a{0} ::= a{1} a{1}", 60) + '\na60 ::= "x"*',
        'root ::= root "' + "xy" * 20_000 + '" | [^z]*',
        "root ::= root " + " ".join(['"a"* "b"'] * 3_000),
        "root ::= r0\n" + lines("r{0} ::= r{1}", 900) + '\nr900 ::= "a" root?',
    ],
    ids=["many rules", "doubling", "long text", "long series", "long chain"],
)
def test_a_large_grammar_is_written_or_refused_at_once(grammar: str) -> None:
    try:
        assert len(grammar_text(Grammar(grammar))) < 10_000_000
    except ConstraintRefused as refused:
        assert "nests rules too deeply" in str(refused)
