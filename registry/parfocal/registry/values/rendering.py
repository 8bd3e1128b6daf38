"""How the rows that an adapter learnt from became text, so that serving can do the same. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from parfocal.registry.errors import InvalidPublication
from parfocal.registry.values.canonical_json import JSON, InvalidJson, normalised
from parfocal.registry.values.json_fields import FieldError, JsonObject

FORMS = ("chat", "raw")


@dataclass(frozen=True, slots=True)
class Rendering:
    """`form` is `chat`, by a chat template and its variables, or `raw`: prompt and completion joined.

    Raises InvalidPublication when it is something else, or when a variable has no JSON form.
    """

    form: str
    chat_template_digest: str | None = None
    template_variables: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise InvalidPublication(
                f"rendering.form is {self.form[:40]!a}; use one of {', '.join(FORMS)}", field="rendering.form"
            )
        try:
            variables = normalised(self.template_variables)
        except InvalidJson as error:
            raise InvalidPublication(
                f"rendering.template_variables cannot be recorded: {error}",
                field="rendering.template_variables",
            ) from error
        object.__setattr__(self, "template_variables", variables)

    def __str__(self) -> str:
        template = f", template {self.chat_template_digest}" if self.chat_template_digest else ""
        variables = "".join(f", {name}={value!r}" for name, value in self.template_variables.items())
        return f"{self.form}{template}{variables}"

    def to_json(self) -> dict[str, JSON]:
        """The rendering as a JSON object."""
        return {
            "form": self.form,
            "chat_template_digest": self.chat_template_digest,
            "template_variables": self.template_variables,
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> "Rendering":
        """The rendering that `fields` hold; raises FieldError."""
        fields.only([*cls.__dataclass_fields__])
        form = fields.text("form")
        if form not in FORMS:
            raise FieldError("rendering.form", f"is {form[:40]!a}, none of {', '.join(FORMS)}")
        return cls(form, fields.optional_text("chat_template_digest"), fields.mapping("template_variables"))
