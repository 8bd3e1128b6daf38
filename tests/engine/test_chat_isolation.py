"""Templates in a process of their own: the same text, and no template takes more down than its own chat."""

from collections.abc import Iterator

import pytest

from oracle.chat_templates import TEMPLATES, tokenizer_with
from parfocal.engine import ChatRefused
from parfocal.engine.chats import (
    Chat,
    ChatEncoder,
    TemplateCall,
    TemplateLimits,
    TemplateProcess,
    plain_messages,
    run_template,
)

MESSAGES = plain_messages(
    [("system", "Grüße \udc80\n"), ("user", "a < b"), ("assistant", "x"), ("user", "\x1f 日本")]
)


@pytest.fixture(scope="module")
def process() -> Iterator[TemplateProcess]:
    """A process with narrow limits, so that reaching them takes no time."""
    process = TemplateProcess(TemplateLimits(seconds=0.5, memory_bytes=64 << 20, characters=10_000))
    yield process
    process.close()


def _call(template: str) -> TemplateCall:
    return TemplateCall(template, MESSAGES, {"bos_token": "<s>", "count": 2, "flag": False, "none": None})


@pytest.mark.parametrize("name", [*TEMPLATES, "variables"])
def test_a_process_writes_what_this_process_writes(name: str, process: TemplateProcess) -> None:
    template = TEMPLATES.get(name, "{{ bos_token }}{{ count + 1 }}{{ flag is false }}{{ none is none }}")
    try:
        expected = run_template(_call(template))
    except ChatRefused as refusal:
        with pytest.raises(ChatRefused) as again:
            process(_call(template))
        assert str(again.value) == str(refusal)
        return

    assert process(_call(template)) == expected


def test_answers_keep_their_places_across_the_processes(process: TemplateProcess) -> None:
    call = TemplateCall(TEMPLATES["generation_marks"], MESSAGES, generation_prompt=False, marks=True)

    assert process(call) == run_template(call)
    assert process(call).answers


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "longer than 0.5 s",
        ),
        (
            "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(99) }}",
            "longer",
        ),
        ("{{ 'a' * 10 ** 10 }}", "MemoryError"),
        (
            "{% set ns = namespace(s=[0]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
            "Memory",
        ),
        ("{{ 'a' * 10001 }}", "writes 10001 characters; the limit is 10000"),
    ],
)
def test_a_template_without_bounds_ends_alone(template: str, says: str, process: TemplateProcess) -> None:
    with pytest.raises(ChatRefused, match=says):
        process(_call(template))

    assert process(_call("{{ messages[1].content }}")).text == "a < b"


def test_a_process_that_died_is_replaced(process: TemplateProcess) -> None:
    process.close()

    assert process(_call("fresh")).text == "fresh"


def test_an_encoder_gives_the_same_ids_through_a_process(process: TemplateProcess) -> None:
    tokenizer = tokenizer_with(TEMPLATES["history_without_thoughts"])
    chat = Chat(
        plain_messages(
            [("user", "<s>"), ("assistant", "<think>\n</think>\n\nyo"), ("user", "</s><|im_end|>")]
        )
    )
    here, there = ChatEncoder(tokenizer), ChatEncoder(tokenizer, process)

    assert there.ids(there.write(chat)) == here.ids(here.write(chat))
