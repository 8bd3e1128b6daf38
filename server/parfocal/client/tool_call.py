"""The call of a tool, as it is asked about and as it is answered."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The call of a tool; `arguments` are a JSON object as text."""

    name: str
    arguments: str = "{}"
    id: str = ""
