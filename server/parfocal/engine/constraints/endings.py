"""Finds schemas of which no answer ends, because they require themselves."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

# So many references may lead on to references in the worst order; beyond, nothing is refused.
_MOST_PASSES = 50


def some_answer_ends(schemas: Sequence[Any], resolve: Callable[[str], Any]) -> bool:
    """Whether the first of `schemas` has an answer of finite length; they are it and all that are in it.

    What is known of one may show that another ends, so all are gone through until nothing changes. A schema
    that nothing satisfies counts as one that ends: that is another fault.
    """
    known = _Known(resolve)
    left = list(reversed(schemas))  # those inside before those around them
    for _ in range(_MOST_PASSES):
        still = [each for each in left if not known.learn(each)]
        if known.ends(schemas[0]):
            return True
        if len(still) == len(left):
            return False
        left = list(reversed(still))
    return True


class _Known:
    """The schemas that are known to have an answer that ends."""

    def __init__(self, resolve: Callable[[str], Any]) -> None:
        self._resolve = resolve
        self._ending: set[int] = set()

    def ends(self, schema: Any) -> bool:
        """Whether the schema is one of them."""
        return isinstance(schema, bool) or id(schema) in self._ending

    def learn(self, schema: Any) -> bool:
        """Adds the schema if what is known shows that it is one of them; returns whether it is."""
        if isinstance(schema, dict) and self._shown(schema):
            self._ending.add(id(schema))
        return self.ends(schema)

    def _shown(self, schema: Mapping[str, Any]) -> bool:
        if "$ref" in schema and not self.ends(self._resolve(schema["$ref"])):
            return False
        if not all(map(self.ends, schema.get("allOf", ()))):
            return False
        ways = [schema[keyword] for keyword in ("anyOf", "oneOf") if keyword in schema]
        if not all(any(map(self.ends, each)) for each in ways):
            return False
        if "const" in schema or "enum" in schema:
            return True
        types = schema.get("type", "null")
        return any(self._type_ends(schema, each) for each in ([types] if isinstance(types, str) else types))

    def _type_ends(self, schema: Mapping[str, Any], kind: str) -> bool:
        if kind == "object":
            named, others = schema.get("properties", {}), schema.get("additionalProperties", True)
            return all(self.ends(named.get(name, others)) for name in schema.get("required", ()))
        return kind != "array" or self._array_ends(schema)

    def _array_ends(self, schema: Mapping[str, Any]) -> bool:
        least, items = schema.get("minItems", 0), schema.get("items", True)
        first = items if isinstance(items, list) else schema.get("prefixItems", [])
        rest = schema.get("additionalItems", True) if isinstance(items, list) else items
        return all(map(self.ends, first[:least])) and (least <= len(first) or self.ends(rest))
