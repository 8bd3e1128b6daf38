"""What is signed: which files a version has, and its manifest.

An in-toto statement with the predicate of the OpenSSF's model signing 1.0, so that its tool verifies the
files. That predicate leaves room for more: `parfocal.manifest` is the version's digest, which binds contract,
origin and evaluation too. Format: https://github.com/sigstore/model-transparency, `_signing/signing.py`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from parfocal.registry.errors import InvalidDigest, InvalidSignature
from parfocal.registry.values import (
    PREFIX,
    FieldError,
    FileEntry,
    InvalidJson,
    JsonObject,
    dumps,
    hex_of,
    loads,
    parse_digest,
)

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_SERIALIZATION: Mapping[str, str | bool] = {
    "method": "files",
    "hash_type": "sha256",
    "allow_symlinks": False,
}


@dataclass(frozen=True, slots=True)
class Statement:
    """The digests of a version's files by path, and of its manifest. `name` is told, and binds nothing."""

    name: str
    manifest: str
    files: Mapping[str, str]

    @classmethod
    def over(cls, name: str, digest: str, files: tuple[FileEntry, ...]) -> "Statement":
        """The statement over the version of `name` whose manifest has this digest."""
        return cls(name, digest, {file.path: file.digest for file in files})

    def to_bytes(self) -> bytes:
        """The canonical bytes, which are what is signed."""
        resources = [
            {"name": path, "algorithm": "sha256", "digest": hex_of(digest)}
            for path, digest in sorted(self.files.items())
        ]
        return dumps(
            {
                "_type": _STATEMENT,
                "subject": [{"name": self.name, "digest": {"sha256": _root(self.files)}}],
                "predicateType": _PREDICATE,
                "predicate": {
                    "serialization": _SERIALIZATION,
                    "resources": resources,
                    "parfocal": {"manifest": self.manifest},
                },
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Statement":
        """The statement that signed bytes are; raises InvalidSignature."""
        try:
            return _statement(JsonObject(loads(data)))
        except (InvalidJson, FieldError, InvalidDigest) as error:
            raise InvalidSignature(f"what it signs is no statement over files: {error}") from error


def _statement(fields: JsonObject) -> Statement:
    _same(fields.text("_type"), _STATEMENT, "_type")
    _same(fields.text("predicateType"), _PREDICATE, "predicateType")
    subjects, predicate = fields.objects("subject"), fields.object("predicate")
    if len(subjects) != 1:
        raise FieldError("subject", f"names {len(subjects)} things; it must name one version")
    if not predicate.given("parfocal"):
        raise FieldError("predicate.parfocal", "is missing: only files were signed, and not what they fit")
    _same(predicate.object("serialization").text("method"), "files", "predicate.serialization.method")
    files: dict[str, str] = {}
    for resource in predicate.objects("resources"):
        _same(resource.text("algorithm"), "sha256", "predicate.resources.algorithm")
        path = resource.text("name")
        if path in files:
            raise FieldError("predicate.resources", f"name {path[:100]!a} twice")
        files[path] = parse_digest(PREFIX + resource.text("digest"))
    _same(subjects[0].object("digest").text("sha256"), _root(files), "subject.digest")
    manifest = parse_digest(predicate.object("parfocal").text("manifest"))
    return Statement(subjects[0].text("name"), manifest, files)


def _root(files: Mapping[str, str]) -> str:
    """The sha256 of the files' digests one after the other, in the order of their paths."""
    return hashlib.sha256(b"".join(bytes.fromhex(hex_of(files[path])) for path in sorted(files))).hexdigest()


def _same(found: str, wanted: str, field: str) -> None:
    if found != wanted:
        raise FieldError(field, f"is {found[:100]!a}, not {wanted}")
