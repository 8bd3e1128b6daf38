"""What a schema asks for and cannot be kept is refused by its place, before anything is compiled."""

import json
from typing import Any

import pytest

from parfocal.engine import ConstraintRefused
from parfocal.engine.constraints.schemas import MOST_CHARACTERS, MOST_LEVELS, place, read_schema


def refusal(schema: Any) -> str:
    with pytest.raises(ConstraintRefused) as refused:
        read_schema(schema if isinstance(schema, str) else json.dumps(schema))
    assert refused.value.field == "output_format"
    return str(refused.value)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "array", "uniqueItems": True}, "$.uniqueItems: uniqueItems is not supported; leave"),
        ({"properties": {"a b": {"not": {}}}}, '$.properties["a b"].not: not is not supported; say in enum'),
        ({"anyOf": [{}, {"if": {}, "then": {}}]}, "$.anyOf[1].if: if is not supported"),
        ({"$defs": {"x": {"items": {"contains": {}}}}}, "$.$defs.x.items.contains: contains is not"),
        ({"items": [{"nullable": True}]}, '$.items[0].nullable: nullable is not supported; add "null"'),
        ({"propertyNames": {"pattern": "a"}}, "$.propertyNames: propertyNames is not supported; use"),
        ({"additionalProperties": {"maxLenght": 3}}, "maxLenght is not a known keyword; did you mean maxL"),
        ({"units": "m"}, "units is not a known keyword; leave it out, or begin its name with x-"),
        ({"x-guidance": {"lenient": True}}, "$.x-guidance: x-guidance is not a known keyword"),
        ({"format": "phone"}, '$.format: "phone" is not a format that is kept; use one of date, '),
        ({"pattern": "(?=a)b"}, "$.pattern: "),
        ({"pattern": r"(a)\1"}, r"has \1, and expressions here may not look around, refer back"),
        ({"patternProperties": {"(?!a)": {}}}, "$.patternProperties: "),
        ({"$ref": "https://example.org/s"}, "does not refer to this schema; copy what is meant into $defs"),
        ({"$ref": "#/$defs/gone"}, 'there is nothing at "#/$defs/gone"; add it, under $defs'),
        ({"$ref": "#/x-hidden", "x-hidden": {"not": {}}}, "$.$ref.not: not is not supported"),
        ({"$ref": "#"}, "$: no answer ends: the schema requires itself; make what leads back optional"),
        ({"minLength": "3"}, '$.minLength: "3" is not a count; write 0 or a larger whole number'),
        ({"maxItems": -1}, "$.maxItems: -1 is not a count"),
        ({"minimum": True}, "$.minimum: true is not a number"),
        ({"enum": []}, "$.enum: [] is not a list of values; list at least one"),
        ({"enum": [{"a": [2**53 + 1]}]}, "has a number beyond 2^53 that would be rounded"),
        ({"type": "int"}, '$.type: "int" is not a type; write one or several of array, boolean'),
        ({"required": "a"}, '$.required: "a" is not a list of names'),
        ({"properties": []}, "$.properties: [] is not a map of schemas"),
        ({"properties": {"a": 3}}, "$.properties.a: 3 is not a schema"),
        ({"minProperties": 2}, "$.minProperties: 2 properties cannot be promised"),
        ("true", "$: the schema is true"),
        ("[]", "$: [] is not a schema"),
        ("{", "$: the schema is not JSON: Expecting property name"),
        ('{"const": NaN}', "$: the schema is not JSON: NaN is not JSON"),
        ("[" * 100_000, "$: the schema is not JSON: "),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_named_with_its_place_and_what_to_do(schema: Any, says: str) -> None:
    assert says in refusal(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"$schema": "http://json-schema.org/draft-07/schema#", "$id": "a", "title": "T", "description": "D"},
        {"type": ["string", "null"], "default": None, "examples": ["a"], "deprecated": True},
        {"uniqueItems": False, "nullable": False},
        {"oneOf": [{"const": 1}, {"const": 2}], "discriminator": {"propertyName": "kind"}},
        {"type": "integer", "format": "int64", "exclusiveMinimum": True, "minimum": 0},
        {"properties": {"not": {"type": "string"}, "if": {"const": {"not": 1}}}},
        {"$defs": {"a/b": {"items": [True, False]}}, "items": {"$ref": "#/$defs/a~1b"}, "x-order": 3},
        {"minProperties": 1},
        {"required": ["a", "b"], "minProperties": 3},
    ],
)
def test_what_is_kept_or_says_nothing_passes(schema: dict[str, Any]) -> None:
    assert read_schema(json.dumps(schema)) == schema


NODE = {"type": "object", "required": ["next"]}


@pytest.mark.parametrize(
    ("following", "ends"),
    [
        ({"$ref": "#"}, False),
        ({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, False),
        ({"allOf": [{"$ref": "#"}, {"type": "null"}]}, False),
        ({"type": "array", "items": {"$ref": "#"}, "minItems": 1}, False),
        ({"type": "array", "prefixItems": [True, {"$ref": "#"}], "minItems": 2}, False),
        ({"type": "array", "items": [{"$ref": "#"}], "minItems": 1}, False),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, True),
        ({"type": "array", "items": {"$ref": "#"}}, True),
        ({"type": "array", "prefixItems": [True, {"$ref": "#"}], "minItems": 1}, True),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, True),
        ({"type": ["object", "null"], "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, True),
        ({"$ref": "#/$defs/a"}, True),
    ],
)
def test_a_schema_that_requires_itself_is_refused(following: dict[str, Any], ends: bool) -> None:
    chain = {name: {"$ref": f"#/$defs/{after}"} for name, after in zip("abcdef", "bcdefg", strict=True)}
    asked = NODE | {"properties": {"next": following}, "$defs": chain | {"g": {"const": 1}}}

    if ends:
        assert read_schema(json.dumps(asked)) == asked
    else:
        assert "the schema requires itself" in refusal(asked)


def test_a_schema_that_is_too_large_is_refused_for_its_size() -> None:
    assert f"more than {MOST_CHARACTERS}" in refusal({"description": "x" * MOST_CHARACTERS})
    deep: Any = {}
    for _ in range(MOST_LEVELS + 1):
        deep = {"items": deep}
    assert f"{MOST_LEVELS} levels" in refusal(deep)
    assert "more than 10000 parts" in refusal({"anyOf": [{} for _ in range(10_001)]})


def test_a_name_that_is_not_plain_is_quoted_in_a_path() -> None:
    assert place("$", "größe") == '$["gr\\u00f6\\u00dfe"]'
    assert place("$.properties", "order-id") == "$.properties.order-id"
