"""An adapter's own chat template: found where tools put it, and published with the adapter."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from parfocal.registry import BaseContract, Publication, Registry
from parfocal.registry.errors import AdapterRefused, MalformedFile
from parfocal.registry.publishing.own_template import MAX_TEMPLATE_BYTES, own_template
from parfocal.registry.values import TEMPLATE_FILE, digest_of

Write = Callable[..., Path]
TEMPLATE = "{% for m in messages %}Grüße {{ m.content }}\n{% endfor %}"
NAMED = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": TEMPLATE}]


def _own(folder: Path, base: BaseContract) -> str | None:
    found = own_template(folder, base)
    return None if found is None else found.decode()


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, None),
        ({TEMPLATE_FILE: TEMPLATE}, TEMPLATE),
        ({"tokenizer_config.json": json.dumps({"chat_template": TEMPLATE})}, TEMPLATE),
        ({"tokenizer_config.json": json.dumps({"chat_template": NAMED})}, TEMPLATE),
        ({"tokenizer_config.json": json.dumps({"chat_template": NAMED[:1]})}, None),
        ({"tokenizer_config.json": json.dumps({"model_max_length": 10**30})}, None),
        ({"tokenizer_config.json": "{"}, None),
        ({"tokenizer_config.json": "[]"}, None),
        ({TEMPLATE_FILE: TEMPLATE, "tokenizer_config.json": '{"chat_template": "old"}'}, TEMPLATE),
        ({TEMPLATE_FILE: " \n"}, None),
    ],
)
def test_a_template_is_found_where_tools_put_it(
    adapter: Write, base: BaseContract, files: dict[str, str], found: str | None
) -> None:
    folder = adapter()
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")

    assert _own(folder, base) == found


def test_the_bases_own_template_beside_an_adapter_is_none_of_its_own(
    adapter: Write, base: BaseContract
) -> None:
    folder = adapter()
    (folder / TEMPLATE_FILE).write_text(TEMPLATE, "utf-8")

    assert _own(folder, replace(base, chat_template_digest=digest_of(TEMPLATE.encode()))) is None


def test_what_is_no_text_too_long_or_a_link_is_refused(adapter: Write, base: BaseContract) -> None:
    folder = adapter()
    path = folder / TEMPLATE_FILE
    path.write_bytes(b"\xff")
    with pytest.raises(MalformedFile, match="not UTF-8 at byte 0"):
        own_template(folder, base)
    path.write_bytes(b"x" * (MAX_TEMPLATE_BYTES + 1))
    with pytest.raises(MalformedFile, match=f"at most {MAX_TEMPLATE_BYTES}"):
        own_template(folder, base)
    path.unlink()
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": "x" * (MAX_TEMPLATE_BYTES + 1)})
    )
    with pytest.raises(MalformedFile, match=f"at most {MAX_TEMPLATE_BYTES}"):
        own_template(folder, base)
    path.symlink_to(folder / "adapter_config.json")
    with pytest.raises(AdapterRefused, match="link"):
        own_template(folder, base)


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{% for m in messages %}{{ m.content }\n{% endfor %}", "line 1: unexpected '}'"),
        ("ok\n{% if messages %}\nnever closed", "line 3: Unexpected end of template"),
        (
            "{% for m in messages %}\n{{ m.content | trimmed }}{% endfor %}",
            "line 2: there is no filter named",
        ),
        ("{{ messages is lovely }}", "there is no test named 'lovely'"),
        ("{% trans %}x{% endtrans %}", "unknown tag 'trans'"),
        ("{{ " + "(" * 50_000 + ")" * 50_000 + " }}", "nested too deeply"),
        ("{{ " + "a." * 50_000 + "b }}", "nested too deeply"),
        ("{{ " + "1" * 5000 + " }}", "a number of thousands of digits"),
        ("{{ " + "1" * 5000 + "_1 }}", "a number of thousands of digits"),
        ("{{ '" + "\\" * 50_000, "unexpected char"),
    ],
)
def test_a_template_that_would_refuse_every_chat_is_refused_when_it_is_published(
    adapter: Write, base: BaseContract, template: str, fault: str
) -> None:
    folder = adapter()
    (folder / TEMPLATE_FILE).write_text(template, "utf-8")
    with pytest.raises(MalformedFile, match="own chat template would refuse every chat") as refused:
        own_template(folder, base)
    assert fault in str(refused.value)
    assert "correct it, or remove it" in str(refused.value)


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
        "{% for m in messages %}{% if loop.last %}{% break %}{% endif %}{{ m | tojson }}{% endfor %}",
        "{{ raise_exception('no') }}{{ strftime_now('%d') }}{{ bos_token }}",
        "{% set ns = namespace(n=0) %}{% macro say(m) %}{{ m.content | trim }}{% endmacro %}"
        "{%- for m in messages -%}{{ say(m) }}{% set ns.n = ns.n + 1 %}{%- endfor -%}",
        "{% if tools is lovely %}{{ tools | pretty }}{% endif %}{{ (a | odd_one) if b else messages }}",
        "{{ 'x' * 10 ** 12 }}",  # far too much to compute, and nothing to refuse before it runs
    ],
)
def test_what_transformers_understands_is_published(
    adapter: Write, base: BaseContract, template: str
) -> None:
    folder = adapter()
    (folder / TEMPLATE_FILE).write_text(template, "utf-8")
    assert _own(folder, base) == template


@pytest.mark.parametrize("where", [TEMPLATE_FILE, "tokenizer_config.json"])
def test_an_adapters_own_template_is_published_with_it(
    any_registry: Registry, adapter: Write, base: BaseContract, where: str
) -> None:
    folder = adapter()
    (folder / where).write_text(
        TEMPLATE if where == TEMPLATE_FILE else json.dumps({"chat_template": TEMPLATE}), "utf-8"
    )
    told: list[tuple[int, int]] = []
    version = any_registry.publish(
        "x", folder, Publication(base), lambda done, total: told.append((done, total))
    )

    assert version.manifest.contract.chat_template_digest == digest_of(TEMPLATE.encode())
    assert [file.path for file in version.manifest.files][-1] == TEMPLATE_FILE
    assert (any_registry.materialise(version.digest) / TEMPLATE_FILE).read_text("utf-8") == TEMPLATE
    assert any("its own chat template" in warning for warning in version.manifest.warnings)
    assert told[-1][0] == told[-1][1]


def test_an_adapter_without_one_says_nothing_of_templates(
    any_registry: Registry, adapter: Write, base: BaseContract
) -> None:
    manifest = any_registry.publish("x", adapter(), Publication(base)).manifest

    assert manifest.contract.chat_template_digest is None
    assert b'"use_rslora"' in manifest.to_bytes()
    assert "chat_template_digest" not in manifest.contract.to_json()
