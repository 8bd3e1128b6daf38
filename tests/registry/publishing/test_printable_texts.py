"""Only text that shows itself is published: no control characters, no marks of direction."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry import (
    BaseContract,
    Evaluation,
    FolderRegistry,
    Provenance,
    Publication,
    Registry,
    Rendering,
    printable,
)
from parfocal.registry.errors import AdapterNotFound, InvalidPublication

Write = Callable[..., Path]
ESCAPE = "\x1b]0;title\x07"


def with_provenance(base: BaseContract, **fields: object) -> Publication:
    whole = {"data_digest": "", "hyper_parameters": {}, "seed": 1, "tools": {}, "parent": None, **fields}
    return Publication(base, Provenance(**whole))  # type: ignore[arg-type]


ACTING: dict[str, Callable[[BaseContract], Publication]] = {
    "contract.base.revision": lambda base: Publication(replace(base, revision=f"main{ESCAPE}")),
    "contract.base.id": lambda base: Publication(replace(base, id="org/\u202egro")),
    "provenance.parent": lambda base: with_provenance(base, parent=f"x@{ESCAPE}"),
    "provenance.data_digest": lambda base: with_provenance(base, data_digest="a\nb"),
    "provenance.tools": lambda base: with_provenance(base, tools={"torch": f"2{ESCAPE}"}),
    "provenance.hyper_parameters": lambda base: with_provenance(base, hyper_parameters={f"a{ESCAPE}": 1}),
    "provenance.hyper_parameters.a[0].b": lambda base: with_provenance(
        base, hyper_parameters={"a": [{"b": "\x9b2J"}]}
    ),
    "evaluation.data_digest": lambda base: Publication(base, evaluation=Evaluation("\u2066", 1)),
    "evaluation.metrics": lambda base: Publication(base, evaluation=Evaluation("", 1, {"\r": 1.0})),
    "contract.rendering.template_variables": lambda base: Publication(
        base, rendering=Rendering("raw", None, {"a": ["\x00"]})
    ),
}


@pytest.mark.parametrize("field", ACTING)
def test_a_text_that_a_terminal_obeys_is_refused_by_its_field(
    any_registry: Registry, adapter: Write, base: BaseContract, field: str
) -> None:
    with pytest.raises(InvalidPublication) as refused:
        any_registry.publish("team/x", adapter(), ACTING[field](base))
    assert str(refused.value.field).startswith((field, field.removeprefix("contract.")))
    assert str(refused.value).isprintable()
    with pytest.raises(AdapterNotFound):
        any_registry.resolve("team/x")


def test_what_a_configuration_names_is_refused_too(registry: FolderRegistry, adapter: Write) -> None:
    folder = adapter(config={"base_model_name_or_path": f"org/x{ESCAPE}"})
    with pytest.raises(InvalidPublication, match=r"base\.id"):
        registry.publish("x", folder, Publication(unverified_base=True))


def test_texts_of_several_lines_and_of_any_script_are_published(
    any_registry: Registry, adapter: Write, base: BaseContract
) -> None:
    texts = [
        "line\nline\r\n\tline",
        "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "👩\u200d🚀",
        "naïve\u00a0é",
    ]
    rendering = Rendering("raw", None, {"system": texts[0]})
    publication = replace(with_provenance(base, hyper_parameters={"texts": texts}), rendering=rendering)
    version = any_registry.publish("team/x", adapter(), publication)
    assert version.manifest.provenance is not None
    assert version.manifest.provenance.hyper_parameters["texts"] == texts


@given(st.text())
def test_a_printable_text_is_one_line_that_says_all(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown
    assert shown.encode().decode() == shown
    if text.isprintable():
        assert shown == text
