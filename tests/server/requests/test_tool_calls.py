"""Calls of tools in answers: the format is learnt from the template, and read whole or piece by piece."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine import ChatRefused
from parfocal.engine.chats import CallFormat, Chat, TemplateCall, learnt_format, run_template
from parfocal.server.requests.tool_calls import CallReader, Said, ToolCall, read_calls

TURNS = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.tool_calls %}CALLS{% else %}{{ m.content }}{% endif %}"
    "<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
LISTED = "{% for t in tools or [] %}{{ t | tojson }}\n{% endfor %}"
EACH = "{% for c in m.tool_calls %}"
NAME, ARGUMENTS = "{{ c.function.name }}", "{{ c.function.arguments | tojson }}"

TEMPLATES = {
    "tagged": (
        f'{EACH}<tool_call>\n{{"name": "{NAME}", "arguments": {ARGUMENTS}}}\n</tool_call>{{% endfor %}}',
        CallFormat("<tool_call>", "</tool_call>"),
    ),
    "bare": (
        f'{EACH}{{"name": "{NAME}", "parameters": {ARGUMENTS}}}{{% endfor %}}',
        CallFormat(arguments_key="parameters"),
    ),
    "in a list": (f"[TOOLS] [{EACH}{{{{ c.function | tojson }}}}{{% endfor %}}]", CallFormat("[TOOLS]")),
    "named": (f"{EACH}<call>{NAME}<args>{ARGUMENTS}{{% endfor %}}", CallFormat("<call>", "", "<args>")),
    "quoted": (
        f'{EACH}<tool>{{"tool": "{NAME}", "input": {{{{ c.function.arguments | tojson | tojson }}}}}}</tool>'
        "{% endfor %}",
        CallFormat("<tool>", "</tool>", None, "tool", "input"),
    ),
}


def learnt(calls: str, *hidden: str) -> CallFormat:
    template = LISTED + TURNS.replace("CALLS", calls)

    def write(chat: Chat, generation_prompt: bool) -> str:
        return run_template(TemplateCall(template, chat.messages, {}, chat.tools, generation_prompt)).text

    return learnt_format(write, hidden)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_shows_its_format(name: str) -> None:
    calls, expected = TEMPLATES[name]

    assert learnt(calls) == expected


def test_special_tokens_are_no_part_of_the_format() -> None:
    assert learnt(TEMPLATES["in a list"][0], "[TOOLS]") == CallFormat()


def test_a_template_without_calls_has_the_usual_format() -> None:
    def refuse(chat: Chat, generation_prompt: bool) -> str:
        raise ChatRefused("no tools here")

    assert learnt("I call a tool") == CallFormat()
    assert learnt_format(refuse, ()) == CallFormat()


TAGS = CallFormat("<tool_call>", "</tool_call>")
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Ulm"}}\n</tool_call>'
WEATHER = ToolCall("weather", '{"city": "Ulm"}')

ANSWERS = [
    (TAGS, CALL, Said("", (WEATHER,))),
    (TAGS, f"Let me see. {CALL}", Said("Let me see. ", (WEATHER,))),
    (TAGS, f"{CALL}\n{CALL}", Said("", (WEATHER, WEATHER))),
    (TAGS, CALL.removesuffix("</tool_call>"), Said("", (WEATHER,))),
    (TAGS, f"{CALL} Done.", Said("Done.", (WEATHER,))),
    (TAGS, "a < b and <tool", Said("a < b and <tool")),
    (TAGS, '<tool_call>{"name": "weather", "argu', Said('<tool_call>{"name": "weather", "argu')),
    (TAGS, "<tool_call>nonsense", Said("<tool_call>nonsense")),
    (CallFormat(), '{"name": "weather", "parameters": {"city": "Ulm"}}', Said("", (WEATHER,))),
    (CallFormat(), '{"name": "nobody", "parameters": {}}', Said('{"name": "nobody", "parameters": {}}')),
    (CallFormat(), '{"total": 3}', Said('{"total": 3}')),
    (CallFormat(), 'See {"name": "weather"}', Said('See {"name": "weather"}')),
    (CallFormat(), '[{"name": "weather", "arguments": {"city": "Ulm"}}]', Said("", (WEATHER,))),
    (CallFormat("[T]"), '[T] [{"name": "weather", "arguments": {"city": "Ulm"}}]', Said("", (WEATHER,))),
    (CallFormat("<call>", "", "<args>"), '<call>weather<args>{"city": "Ulm"}', Said("", (WEATHER,))),
    (CallFormat("", "", "<args>"), 'weather<args>{"city": "Ulm"}', Said("", (WEATHER,))),
    (CallFormat("", "", "<args>"), "weather is fine", Said("weather is fine")),
    (
        CallFormat("<tool>", "</tool>", None, "tool", "input"),
        '<tool>{"tool": "weather", "input": "{\\"city\\": \\"Ulm\\"}"}</tool>',
        Said("", (WEATHER,)),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("form", "text", "expected"), ANSWERS)
def test_calls_are_read_and_everything_else_stays_text(form: CallFormat, text: str, expected: Said) -> None:
    assert read_calls(text, CallReader(form, ("weather",))) == expected


@given(st.sampled_from(ANSWERS), st.lists(st.integers(1, 7), min_size=1))
def test_pieces_say_what_the_whole_says(answer: tuple[CallFormat, str, Said], sizes: list[int]) -> None:
    form, text, expected = answer
    reader = CallReader(form, ("weather",))
    said: list[Said] = []
    place = 0
    while place < len(text):
        size = sizes[len(said) % len(sizes)]
        said.append(reader.push(text[place : place + size]))
        place += size
    said.append(reader.finish())

    assert "".join(each.content for each in said) == expected.content
    assert tuple(call for each in said for call in each.calls) == expected.calls


@given(
    st.text(alphabet='<tool_call>{}[]",:\\ \nab', max_size=60),
    st.sampled_from([form for form, _, _ in ANSWERS]),
)
def test_text_without_a_call_comes_through_as_it_is(text: str, form: CallFormat) -> None:
    said = read_calls(text, CallReader(form, ("weather",)))

    assert said.calls or said.content == text


def test_arguments_are_json_whatever_they_hold() -> None:
    reader = CallReader(CallFormat(), ["weather"])
    said = read_calls('{"name": "weather", "arguments": {"city": "Zürich", "n": [1, null]}}', reader)

    assert json.loads(said.calls[0].arguments) == {"city": "Zürich", "n": [1, None]}


def test_calls_after_the_first_are_left_out_for_who_wants_one() -> None:
    assert read_calls(f"{CALL}\n{CALL}", CallReader(TAGS, ("weather",), 1)) == Said("", (WEATHER,))
