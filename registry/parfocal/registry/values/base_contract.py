"""The base that an adapter was made for, and when another base is the same one.

A base is identified by what it computes: configuration, tokenizer, template, 4-bit recipe and weights. Its
name and revision say where it was found, and only cause warnings. Reads no file.
"""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from parfocal.registry.values.canonical_json import JSON
from parfocal.registry.values.json_fields import JsonObject

# What the digests of configuration and tokenizer were taken of: the files as written, or what they mean.
SPELLING, MEANING = 1, 2

PLAIN_PREFIX = "model."
_SHAPE_FIELDS = ("layers", "hidden", "intermediate", "heads", "kv_heads", "head_dim")
_LATER_FIELDS = ("scheme", "weights_fingerprint")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of a contract that differs."""

    field: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, found {self.actual}"


@dataclass(frozen=True, slots=True)
class Quantisation:
    """The 4-bit recipe that the base is served and evaluated with (QLoRA, arXiv:2305.14314)."""

    method: str = "bitsandbytes-nf4"
    double_quant: bool = True
    block_size: int = 64

    def to_json(self) -> dict[str, JSON]:
        """The recipe as a JSON object."""
        return {"method": self.method, "double_quant": self.double_quant, "block_size": self.block_size}

    @classmethod
    def from_json(cls, fields: JsonObject) -> "Quantisation":
        """The recipe that `fields` hold; raises FieldError."""
        fields.only(("method", "double_quant", "block_size"))
        return cls(fields.text("method"), fields.boolean("double_quant"), fields.count("block_size"))


@dataclass(frozen=True, slots=True)
class BaseShape:
    """The sizes of a plain decoder, from its configuration: enough to know every projection and its shape.

    `fused` says whether the layers have qkv_proj and gate_up_proj (as in Phi-3) instead of their parts, None
    if unknown; `prefix` is what a layer's path begins with. The JSON form omits defaults, which older
    manifests did not record.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    fused: bool | None = None
    prefix: str = PLAIN_PREFIX

    def to_json(self) -> dict[str, JSON]:
        """The sizes as a JSON object."""
        fused = {} if self.fused is None else {"fused": self.fused}
        prefix = {} if self.prefix == PLAIN_PREFIX else {"prefix": self.prefix}
        return {**{name: getattr(self, name) for name in _SHAPE_FIELDS}, **fused, **prefix}

    @classmethod
    def from_json(cls, fields: JsonObject) -> "BaseShape":
        """The sizes that `fields` hold; raises FieldError."""
        fields.only((*_SHAPE_FIELDS, "fused", "prefix"))
        layers, hidden, intermediate, heads, kv_heads, head_dim = map(fields.count, _SHAPE_FIELDS)
        fused = fields.boolean("fused") if fields.given("fused") else None
        prefix = fields.text("prefix") if fields.given("prefix") else PLAIN_PREFIX
        return cls(layers, hidden, intermediate, heads, kv_heads, head_dim, fused, prefix)


@dataclass(frozen=True, slots=True)
class BaseDigests:
    """A base's digests under one scheme."""

    scheme: int
    config: str
    tokenizer: str


@dataclass(frozen=True, slots=True)
class BaseContract:
    """The base that an adapter was made for. Empty digests and None mean "not known" (an unverified base).

    `shape` is None where the configuration does not decide every projection's shape, and
    `weights_fingerprint` where the weights were not there to be looked at. `earlier` holds the digests under
    the scheme before, so that adapters published then still find their base; it is not recorded.
    """

    id: str
    revision: str | None
    config_digest: str
    quantisation: Quantisation
    tokenizer_digest: str
    chat_template_digest: str | None
    verified: bool
    shape: BaseShape | None = None
    scheme: int = SPELLING
    weights_fingerprint: str | None = None
    earlier: BaseDigests | None = field(default=None, compare=False)

    @classmethod
    def unverified(cls, base_id: str, revision: str | None = None) -> "BaseContract":
        """Describes a base known only by name."""
        return cls(base_id, revision, "", Quantisation(), "", None, verified=False)

    def differences(self, other: "BaseContract") -> "list[Difference]":
        """Lists where the base `other` computes something other than this contract expects.

        What is not known on either side is not compared. A name counts only where one side knows nothing
        else, and a revision only where the weights of one side were never seen. Ids are compared by their
        last part, as a mirror or a local folder drops the organisation.
        """
        known = self.verified and other.verified
        found = [] if known else self._name_differences(other)
        if self.quantisation != other.quantisation:
            found.append(Difference("base.quantisation", str(self.quantisation), str(other.quantisation)))
        if known:
            found += self._digest_differences(other)
        return found + self._weight_differences(other)

    def cautions(self, other: "BaseContract") -> "list[Difference]":
        """Lists where `other` is called something else, or comes from elsewhere, but computes the same."""
        found = self._name_differences(other) if self.verified and other.verified else []
        return found + (self._revision_differences(other) if self._same_weights(other) else [])

    def _name_differences(self, other: "BaseContract") -> "list[Difference]":
        same = _last_part(self.id) == _last_part(other.id)
        return [] if same else [Difference("base.id", self.id, other.id)]

    def _revision_differences(self, other: "BaseContract") -> "list[Difference]":
        if self.revision is None or other.revision is None or self.revision == other.revision:
            return []
        return [Difference("base.revision", self.revision, other.revision)]

    def _weight_differences(self, other: "BaseContract") -> "list[Difference]":
        same = self._same_weights(other)
        if same is None:
            return self._revision_differences(other)
        mine, theirs = str(self.weights_fingerprint), str(other.weights_fingerprint)
        return [] if same else [Difference("base.weights_fingerprint", mine, theirs)]

    def _same_weights(self, other: "BaseContract") -> bool | None:
        """Compares the fingerprints; None where they cannot be, as of weights stored in another form."""
        mine, theirs = self.weights_fingerprint, other.weights_fingerprint
        if mine is None or theirs is None or mine.partition(":")[0] != theirs.partition(":")[0]:
            return None
        return mine == theirs

    def _digest_differences(self, other: "BaseContract") -> "list[Difference]":
        scheme = self.scheme if other._digests(self.scheme) is not None else other.scheme
        mine, theirs = self._digests(scheme), other._digests(scheme)
        if mine is None or theirs is None:
            return [Difference("base.scheme", str(self.scheme), str(other.scheme))]
        pairs = (
            ("base.config_digest", mine.config, theirs.config),
            ("base.tokenizer_digest", mine.tokenizer, theirs.tokenizer),
            ("base.chat_template_digest", self.chat_template_digest, other.chat_template_digest),
        )
        return [Difference(name, a or "none", b or "none") for name, a, b in pairs if (a or "") != (b or "")]

    def _digests(self, scheme: int) -> BaseDigests | None:
        if scheme == self.scheme:
            return BaseDigests(scheme, self.config_digest, self.tokenizer_digest)
        return self.earlier if self.earlier is not None and self.earlier.scheme == scheme else None

    def to_json(self) -> dict[str, JSON]:
        """Writes the contract as a JSON object; one of the first scheme as it was written then."""
        later: dict[str, JSON] = {name: getattr(self, name) for name in _LATER_FIELDS}
        return {
            "id": self.id,
            "revision": self.revision,
            "config_digest": self.config_digest,
            "quantisation": self.quantisation.to_json(),
            "tokenizer_digest": self.tokenizer_digest,
            "chat_template_digest": self.chat_template_digest,
            "verified": self.verified,
            "shape": None if self.shape is None else self.shape.to_json(),
            **({} if self.scheme == SPELLING else later),
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> "BaseContract":
        """Reads the contract that `fields` hold; raises FieldError."""
        fields.only([name for name in cls.__dataclass_fields__ if name != "earlier"])
        shape = fields.optional_object("shape")
        later = fields.given("scheme")
        return cls(
            id=fields.text("id"),
            revision=fields.optional_text("revision"),
            config_digest=fields.text("config_digest"),
            quantisation=Quantisation.from_json(fields.object("quantisation")),
            tokenizer_digest=fields.text("tokenizer_digest"),
            chat_template_digest=fields.optional_text("chat_template_digest"),
            verified=fields.boolean("verified"),
            shape=None if shape is None else BaseShape.from_json(shape),
            scheme=fields.count("scheme") if later else SPELLING,
            weights_fingerprint=fields.optional_text("weights_fingerprint") if later else None,
        )


def _last_part(base_id: str) -> str:
    return PurePosixPath(base_id).name.casefold()
