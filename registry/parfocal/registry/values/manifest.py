"""The manifest: everything that makes a version what it is. The sha256 of its canonical JSON is the digest.

It holds neither a name, nor a version number, nor a time, so that equal content has equal identity.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.registry.errors import InvalidDigest, InvalidManifest, InvalidPublication, RegistryTooNew
from parfocal.registry.values.canonical_json import InvalidJson, dumps, loads
from parfocal.registry.values.contract import Contract
from parfocal.registry.values.digest import digest_of, parse_digest
from parfocal.registry.values.json_fields import FieldError, JsonObject
from parfocal.registry.values.limits import MAX_STORED_MANIFEST_BYTES
from parfocal.registry.values.provenance import Evaluation, Provenance
from parfocal.registry.values.tags import checked_tags

SCHEMA = 2
CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
TEMPLATE_FILE = "chat_template.jinja"  # only of adapters that carry their own

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,126}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a version: a plain file name, its size in bytes and its digest."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Files (sorted by path), contract, provenance, evaluation, the warnings that publishing found, and tags.

    The JSON form omits tags where there are none, as manifests did before they were recorded.
    """

    schema: int
    files: tuple[FileEntry, ...]
    contract: Contract
    provenance: Provenance | None
    evaluation: Evaluation | None
    warnings: tuple[str, ...]
    tags: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """The canonical JSON; raises InvalidJson when a text in it is no Unicode text."""
        return dumps(
            {
                "schema": self.schema,
                "files": [{"path": f.path, "size": f.size, "digest": f.digest} for f in self.files],
                "contract": self.contract.to_json(),
                "provenance": None if self.provenance is None else self.provenance.to_json(),
                "evaluation": None if self.evaluation is None else self.evaluation.to_json(),
                "warnings": self.warnings,
                **({"tags": self.tags} if self.tags else {}),
            }
        )

    @property
    def digest(self) -> str:
        """The version's digest."""
        return digest_of(self.to_bytes())

    @property
    def size(self) -> int:
        """The number of bytes of all files."""
        return sum(file.size for file in self.files)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """The manifest that canonical `data` hold; raises InvalidManifest or RegistryTooNew."""
        if len(data) > MAX_STORED_MANIFEST_BYTES:
            raise InvalidManifest(
                f"a manifest of {len(data)} bytes; at most {MAX_STORED_MANIFEST_BYTES} are read"
            )
        try:
            manifest = cls._from_json(JsonObject(loads(data)))
            is_canonical = manifest.to_bytes() == data
        except (InvalidJson, FieldError, InvalidDigest, InvalidPublication) as error:
            raise InvalidManifest(f"not a manifest: {error}", field=getattr(error, "field", None)) from error
        if not is_canonical:
            raise InvalidManifest("a manifest must be canonical JSON: sorted keys, no spaces")
        return manifest

    @classmethod
    def _from_json(cls, fields: JsonObject) -> "Manifest":
        schema = fields.count("schema")
        if schema > SCHEMA:
            raise RegistryTooNew(
                f"the manifest has schema {schema}, this Parfocal reads up to {SCHEMA}; upgrade it",
                schema=str(schema),
            )
        fields.only([*cls.__dataclass_fields__])
        provenance = fields.optional_object("provenance")
        evaluation = fields.optional_object("evaluation")
        return cls(
            schema=schema,
            files=_files(fields.objects("files")),
            contract=Contract.from_json(fields.object("contract")),
            provenance=None if provenance is None else Provenance.from_json(provenance),
            evaluation=None if evaluation is None else Evaluation.from_json(evaluation),
            warnings=fields.texts("warnings"),
            tags=_tags(fields.texts("tags")) if fields.given("tags") else (),
        )


def _files(entries: Sequence[JsonObject]) -> tuple[FileEntry, ...]:
    files = tuple(
        FileEntry(_file_name(entry.text("path")), entry.count("size"), parse_digest(entry.text("digest")))
        for entry in entries
    )
    if len({file.path for file in files}) != len(files):
        raise FieldError("files", "name one path twice")
    return files


def _tags(texts: tuple[str, ...]) -> tuple[str, ...]:
    tags = checked_tags(texts)
    if tags != texts:
        raise FieldError("tags", "are not sorted, each once")
    return tags


def _file_name(text: str) -> str:
    if not _FILE_NAME.fullmatch(text) or ".." in text:
        raise FieldError("files.path", f"{text[:100]!a} is not a plain file name")
    return text
