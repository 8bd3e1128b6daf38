"""How an adapter's training rows were written, and so how its requests should be. Knows no wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from parfocal.engine import AdapterKey
from parfocal.engine.chats import Value
from parfocal.registry import Manifest

_NAMES = {"chat": "chats", "raw": "raw prompts"}


@dataclass(frozen=True, slots=True)
class Manner:
    """What is known of how an adapter's rows became text; for the base, nothing.

    form: `chat` or `raw`, None if unrecorded. template: the adapter's own chat template, None for the base's.
    variables: what the template read beside the messages.
    """

    form: str | None = None
    template: str | None = None
    variables: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference means now. `adapter` None is the base."""

    adapter: AdapterKey | None = None
    manner: Manner = field(default_factory=Manner)

    def warnings(self, form: str | None) -> tuple[str, ...]:
        """Warnings for the caller of a prompt in `form`: `chat` or `raw`, None for token ids."""
        if self.adapter is None or None in (form, self.manner.form) or form == self.manner.form:
            return ()
        learnt, sent = _NAMES[str(self.manner.form)], _NAMES[str(form)]
        name = f"{self.adapter.name}@{self.adapter.version}"
        advice = "send a chat" if self.manner.form == "chat" else "send a prompt"
        return (f"adapter {name} was trained on {learnt}, and does worse on {sent}; {advice}",)


def manner_of(manifest: Manifest, template: str | None) -> Manner:
    """The manner that a version records; older versions have only the form, in their provenance."""
    rendering = manifest.contract.rendering
    if rendering is not None:
        return Manner(rendering.form, template, rendering.template_variables)
    noted = manifest.provenance.hyper_parameters.get("rendering") if manifest.provenance else None
    return Manner(noted if isinstance(noted, str) and noted in _NAMES else None, template)
