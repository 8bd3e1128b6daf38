"""Answers that must call tools: every call is of one of them, with arguments that its schema accepts."""

import json

import pytest
from tokenizers import AddedToken, Tokenizer

from parfocal.engine import ConstraintRefused
from parfocal.engine.constraints import ConstraintState, ToolCalls
from parfocal.engine.constraints.grammar_texts import grammar_text
from parfocal.engine.constraints.guided import GuidedVocabulary, vocabulary_text
from parfocal.registry import locate_base

pytest.importorskip("llguidance")

WEATHER = json.dumps(
    {
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/city"}},
        "required": ["city"],
        "additionalProperties": False,
        "$defs": {"city": {"type": "string"}},
    }
)
TOOLS = (("weather", WEATHER), ("weather_soon", '{"properties": {"days": {"type": "integer"}}}'))
CALL = '{"name": "weather", "arguments": {"city": "Ulm"}}'
SOON = '{"name": "weather_soon", "arguments": {"days": 3}}'


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """The embedded base's, with a token for the opening of calls."""
    found = Tokenizer.from_file(str(locate_base("tiny", weights=False).folder / "tokenizer.json"))
    found.add_tokens([AddedToken("<tool_call>", special=False)])
    return found


@pytest.fixture(scope="module")
def vocabulary(tokenizer: Tokenizer) -> GuidedVocabulary:
    eos = tokenizer.token_to_id("<|im_end|>")
    assert eos is not None
    return GuidedVocabulary(vocabulary_text(tokenizer), tokenizer.get_vocab_size(), (eos,))


def accepts(vocabulary: GuidedVocabulary, tokenizer: Tokenizer, spec: ToolCalls, text: str) -> bool:
    """Tells whether a text may be the whole answer, cut into tokens as the tokenizer cuts it."""
    tokens = {"<tool_call>": tokenizer.token_to_id("<tool_call>") or 0}
    state: ConstraintState = vocabulary.constraint(grammar_text(spec, tokens)).start()
    for one in tokenizer.encode(text, add_special_tokens=False).ids:
        if state.is_complete or not state.allowed()[one // 8] >> one % 8 & 1:
            return False
        state.accept(one)
    return state.is_satisfied


TAGGED = ToolCalls(TOOLS, "<tool_call>", "</tool_call>")
BARE = ToolCalls(TOOLS, several=False)
NAMED = ToolCalls(TOOLS, "<call>", "", "<args>")
OWN_KEYS = ToolCalls(TOOLS, name_key="tool", arguments_key="parameters")

TEXTS = [
    (TAGGED, f"<tool_call>\n{CALL}\n</tool_call>", True),
    (TAGGED, f"<tool_call>{SOON}</tool_call>\n<tool_call>{CALL}</tool_call>", True),
    (TAGGED, CALL, False),
    (TAGGED, f"<tool_call>\n{CALL}", False),
    (TAGGED, f"Well. <tool_call>{CALL}</tool_call>", False),
    (BARE, CALL, True),
    (BARE, SOON, True),
    (BARE, f"{CALL}\n{CALL}", False),
    (BARE, '{"name": "weather", "arguments": {}}', False),
    (BARE, '{"name": "weather", "arguments": {"city": "Ulm", "days": 3}}', False),
    (BARE, '{"name": "nobody", "arguments": {}}', False),
    (BARE, '{"name": "weather_soon", "arguments": {"days": "3"}}', False),
    (BARE, '{"arguments": {"city": "Ulm"}, "name": "weather"}', False),
    (NAMED, '<call>weather<args>{"city": "Ulm"}', True),
    (NAMED, '<call>weather_soon<args>{}<call>weather<args>{"city": "Ulm"}', True),
    (NAMED, "<call>weather<args>[]", False),
    (OWN_KEYS, '{"tool": "weather", "parameters": {"city": "Ulm"}}', True),
]


@pytest.mark.parametrize(("spec", "text", "fits"), TEXTS)
def test_an_answer_is_calls_of_the_tools_or_none(
    vocabulary: GuidedVocabulary, tokenizer: Tokenizer, spec: ToolCalls, text: str, fits: bool
) -> None:
    assert accepts(vocabulary, tokenizer, spec, text) is fits


@pytest.mark.parametrize(
    "parameters", ['{"type": "string"}', '{"properties": {"x": {"not": {}}}}', '{"type": "nonsense"}', "[1]"]
)
def test_parameters_that_cannot_be_kept_are_refused_by_the_tool_name(parameters: str) -> None:
    with pytest.raises(ConstraintRefused, match="the parameters of the tool odd") as refused:
        grammar_text(ToolCalls((("odd", parameters),)))

    assert refused.value.field == "chat.tools"
