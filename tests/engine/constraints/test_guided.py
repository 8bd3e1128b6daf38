"""Whatever is drawn from what a constraint allows is what was asked for, and nothing else can be drawn."""

import json
import random
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from parfocal.engine import ConstraintFailed, ConstraintRefused, ConstraintsUnavailable
from parfocal.engine.constraints import (
    Choice,
    ConstraintSpec,
    ConstraintState,
    Grammar,
    JsonObject,
    JsonSchema,
    Regex,
)
from parfocal.engine.constraints.grammar_texts import grammar_text
from parfocal.engine.constraints.guided import GuidedVocabulary, vocabulary_text
from parfocal.registry import locate_base

pytest.importorskip("llguidance")

EXTRA = 64  # logits beyond the tokenizer's tokens, as padded bases have them


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(locate_base("tiny", weights=False).folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def eos(tokenizer: Tokenizer) -> int:
    found = tokenizer.token_to_id("<|im_end|>")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def vocabulary(tokenizer: Tokenizer, eos: int) -> GuidedVocabulary:
    return GuidedVocabulary(vocabulary_text(tokenizer), tokenizer.get_vocab_size() + EXTRA, (eos,))


def ids_of(bits: bytes) -> list[int]:
    return [
        int(one) for one in np.flatnonzero(np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little"))
    ]


def start(vocabulary: GuidedVocabulary, spec: ConstraintSpec) -> ConstraintState:
    return vocabulary.constraint(grammar_text(spec)).start()


def schema(value: Any) -> JsonSchema:
    return JsonSchema(json.dumps(value))


def accepts(vocabulary: GuidedVocabulary, tokenizer: Tokenizer, spec: ConstraintSpec, text: str) -> bool:
    """Tells whether a text may be drawn, token by token, and be the whole answer."""
    state = start(vocabulary, spec)
    for one in tokenizer.encode(text, add_special_tokens=False).ids:
        if state.is_complete or one not in ids_of(state.allowed()):
            return False
        state.accept(one)
    return state.is_satisfied


def draws(
    vocabulary: GuidedVocabulary, tokenizer: Tokenizer, spec: ConstraintSpec, eos: int
) -> Iterator[str]:
    """Yields texts drawn at random from what is allowed; those that do not end in time are left out."""
    for seed in range(12):
        chance, state, drawn = random.Random(seed), start(vocabulary, spec), list[int]()
        while not state.is_complete and len(drawn) < 150:
            ids = ids_of(state.allowed())
            assert (eos in ids) is state.is_satisfied
            if eos in ids and chance.random() < 0.5:
                break
            drawn.append(chance.choice([one for one in ids if one != eos] or ids))
            state.accept(drawn[-1])
        if state.is_satisfied:
            yield tokenizer.decode(drawn, skip_special_tokens=False)


@pytest.mark.parametrize(
    ("spec", "good", "bad"),
    [
        (Choice(("yes", "yes, but", 'a "quote"', "日本\n")), ["yes", "yes, but", "日本\n", 'a "quote"'],
         ["no", "ye"]),
        (Regex(r"^\d{3}-[a-f]+/x$"), ["123-abc/x"], ["12-abc/x", "123-abc/x ", "١٢٣-abc/x"]),
        (Regex("a|b\n|é"), ["a", "b\n", "é"], ["", "b"]),
        (Grammar('root ::= [a-z]* "ab" "c"?'), ["ab", "xxaab", "abab", "ababc"], ["a", "abx1", "abcc"]),
        (Grammar('root ::= "(" root ")" | ""'), ["", "()", "((()))"], ["(", "())"]),
        (Grammar('root ::= root "+" n | n\nn ::= [1-9] [0-9]{0,2}'), ["1", "1+23+456"], ["+1", "1+", "01"]),
        (Grammar('root ::= "\\u65e5" [^\\x00-\\x7F]{1,2} .'), ["日本\n", "日本語x"], ["日", "日ab"]),
        (JsonObject(), ["{}", '{"a": [1, {"b": null}]}', '{\n  "a": "\\u00e9é"\n}'],
         ["[]", '{"a": }', "{} "]),
        (schema({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"],
                 "additionalProperties": False}),
         ['{"n":1}', '{ "n": -12 }', '{\n    "n": 0\n}'], ["{}", '{"n":1.5}', '{"n":1,"m":2}', '{"n":  1}']),
        (schema({"enum": ["a", 1, None, {"b": [True]}]}), ['"a"', "1", "null", '{"b":[true]}'], ['"b"', "2"]),
        (schema({"$defs": {"t": {"anyOf": [{"type": "null"},
                                           {"type": "array", "items": {"$ref": "#/$defs/t"}}]}},
                 "$ref": "#/$defs/t"}), ["null", "[]", "[null, [[]]]"], ["[1]", "[null"]),
    ],
)  # fmt: skip
def test_a_constraint_allows_what_it_describes_and_nothing_else(
    spec: ConstraintSpec, good: list[str], bad: list[str], vocabulary: GuidedVocabulary, tokenizer: Tokenizer
) -> None:
    assert [text for text in good if not accepts(vocabulary, tokenizer, spec, text)] == []
    assert [text for text in bad if accepts(vocabulary, tokenizer, spec, text)] == []


@pytest.mark.parametrize("pattern", [r"[a-z]{2,5}\d", r"(ab|cd)*e", r"x(\.y){0,3}", r"[^\W\d]{1,4}=\d+"])
def test_what_is_drawn_matches_the_expression(
    pattern: str, vocabulary: GuidedVocabulary, tokenizer: Tokenizer, eos: int
) -> None:
    texts = list(draws(vocabulary, tokenizer, Regex(pattern), eos))

    assert len(texts) > 6
    assert [text for text in texts if not re.fullmatch(pattern, text)] == []


def test_what_is_drawn_is_json_that_says_what_the_schema_asks_for(
    vocabulary: GuidedVocabulary, tokenizer: Tokenizer, eos: int
) -> None:
    asked = {
        "type": "object",
        "properties": {
            "label": {"enum": ["spam", "ham"]},
            "score": {"type": "number", "minimum": 0, "maximum": 1},
            "day": {"type": "string", "format": "date"},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 4}, "maxItems": 2},
        },
        "required": ["label", "score", "day"],
        "additionalProperties": False,
    }

    texts = list(draws(vocabulary, tokenizer, schema(asked), eos))

    assert len(texts) > 6
    for text in texts:
        value = json.loads(text)
        assert list(value)[:3] == ["label", "score", "day"]
        assert value["label"] in ("spam", "ham")
        assert 0 <= value["score"] <= 1
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", value["day"])
        assert all(len(tag) <= 4 for tag in value.get("tags", []))


def test_no_special_token_and_none_beyond_the_tokenizer_is_ever_allowed(
    vocabulary: GuidedVocabulary, tokenizer: Tokenizer, eos: int
) -> None:
    added = set(tokenizer.get_added_tokens_decoder())
    state = start(vocabulary, Regex(r"(.|\n)*"))

    for text in ("", "a", "<|im_", 'x "'):
        for one in tokenizer.encode(text, add_special_tokens=False).ids:
            state.accept(one)
        ids = set(ids_of(state.allowed()))
        assert ids & added == {eos}
        assert max(ids) < tokenizer.get_vocab_size()
        assert len(ids) > 1000


def test_finding_out_what_is_allowed_changes_nothing(vocabulary: GuidedVocabulary) -> None:
    state = start(vocabulary, JsonObject())

    assert state.allowed() == state.allowed()


def test_one_token_is_allowed_exactly_if_it_is_among_all_that_are(
    vocabulary: GuidedVocabulary, tokenizer: Tokenizer, eos: int
) -> None:
    state = start(vocabulary, Regex(r'"[a-z ]{0,3}"( \w+)?'))

    for one in tokenizer.encode('"a b" x', add_special_tokens=False).ids:
        ids = set(ids_of(state.allowed()))
        assert {each for each in range(tokenizer.get_vocab_size() + EXTRA) if state.allows(each)} == ids
        state.accept(one)


def test_answers_under_one_constraint_do_not_see_each_other(
    vocabulary: GuidedVocabulary, tokenizer: Tokenizer
) -> None:
    constraint = vocabulary.constraint(grammar_text(Choice(("abc", "xyz"))))
    first, second = constraint.start(), constraint.start()
    for one in tokenizer.encode("abc", add_special_tokens=False).ids:
        first.accept(one)

    assert first.is_complete
    assert not second.is_satisfied
    assert len(ids_of(second.allowed())) > 1


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (schema({"type": "string", "enum": [1]}), "Unsatisfiable"),
        (schema({"type": "integer", "minimum": 3, "maximum": 2}), "the constraint cannot be kept"),
        (schema({"oneOf": [{"type": "string"}, {"minLength": 2}]}), "oneOf"),
        (Regex("[a"), "the constraint cannot be kept"),
        (Regex(r"[^\s\S]"), "no text satisfies the constraint"),
        (Regex(r"\bword"), r"the regular expression has \b, and expressions here may not"),
        (Regex("a" * 100_000), "has 100000 characters, more than 65536; make it shorter"),
        (Choice(()), "there are no options; name at least one"),
        (Choice(("a", "")), "an option is empty"),
    ],
)
def test_what_cannot_be_kept_is_refused_when_it_is_compiled(
    spec: ConstraintSpec, says: str, vocabulary: GuidedVocabulary
) -> None:
    with pytest.raises(ConstraintRefused) as refused:
        start(vocabulary, spec)

    assert says in str(refused.value)
    assert refused.value.field == "output_format"
    assert "\n" not in str(refused.value)


def test_a_token_that_was_not_allowed_ends_the_answer_in_an_error_and_spends_the_constraint(
    vocabulary: GuidedVocabulary, tokenizer: Tokenizer
) -> None:
    constraint = vocabulary.constraint(grammar_text(Choice(("abc",))))
    state = constraint.start()
    state.accept(tokenizer.encode("z", add_special_tokens=False).ids[0])

    assert not state.is_complete
    assert not state.is_satisfied
    with pytest.raises(ConstraintFailed, match="the answer cannot go on under its constraint: "):
        state.allowed()
    assert constraint.is_spent


def test_a_base_without_an_end_token_is_told_so(tokenizer: Tokenizer) -> None:
    with pytest.raises(ConstraintsUnavailable, match="the base has no end token"):
        GuidedVocabulary(vocabulary_text(tokenizer), tokenizer.get_vocab_size(), ())


def test_a_tokenizer_that_is_not_known_is_told_so() -> None:
    with pytest.raises(ConstraintsUnavailable, match="does not know the tokenizer of this base"):
        GuidedVocabulary("{}", 100, (1,))
