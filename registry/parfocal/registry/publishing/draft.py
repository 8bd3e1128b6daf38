"""Turns a PEFT folder into a manifest whose files are stored. Knows no names and no version numbers."""

import io
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.blobs import BlobStore
from parfocal.registry.errors import AdapterRefused, InvalidManifest, InvalidPublication, MalformedFile
from parfocal.registry.peft import (
    MAX_WEIGHTS_BYTES,
    PeftFolder,
    check_published_config,
    open_regular,
    read_peft_folder,
)
from parfocal.registry.publishing.attached import Attached, read_attachments
from parfocal.registry.publishing.beginning import BegunWeights, Filled
from parfocal.registry.publishing.limits import check_limits
from parfocal.registry.publishing.own_template import own_template
from parfocal.registry.publishing.own_tokens import token_warnings
from parfocal.registry.publishing.publication import Publication, base_warnings, bound_base
from parfocal.registry.publishing.ready import NOTHING_HELD, Held, Progress, Stored
from parfocal.registry.publishing.shared_base import with_shared_base
from parfocal.registry.values import (
    CONFIG_FILE,
    JSON,
    MAX_MANIFEST_BYTES,
    SCHEMA,
    TEMPLATE_FILE,
    WEIGHTS_FILE,
    Contract,
    FileEntry,
    Hasher,
    InvalidJson,
    Manifest,
    checked_tags,
    chunks_of,
    digest_of,
    dumps,
    loads,
    printable,
    unprintable_field,
)

# What a publisher may write in several lines; all else is a name, a number or a sentence.
_FREE_TEXTS = ("provenance.hyper_parameters", "contract.rendering.template_variables")
_OWN_TEMPLATE = "the adapter carries its own chat template, which writes its chats instead of the base's"


@dataclass(frozen=True, slots=True)
class Draft:
    """An adapter that passed every check, with the configuration to publish. Nothing is stored yet."""

    folder: PeftFolder
    config: bytes
    contract: Contract
    publication: Publication
    warnings: tuple[str, ...]
    template: bytes | None = None
    attached: Attached = ()

    @property
    def whole(self) -> Attached:
        """The files that are held in memory, but for the configuration."""
        return (*(() if self.template is None else ((TEMPLATE_FILE, self.template),)), *self.attached)

    @property
    def size(self) -> int:
        """How many bytes will be stored, the manifest apart."""
        whole = sum(len(data) for _, data in self.whole)
        return len(self.config) + self.folder.weights.header.file_bytes + whole

    def manifest(self, files: tuple[FileEntry, ...]) -> Manifest:
        """The manifest over `files`, which was looked at before there were any digests of them."""
        return Manifest(
            SCHEMA,
            tuple(sorted(files, key=lambda file: file.path)),
            self.contract,
            self.publication.provenance,
            self.publication.evaluation,
            self.warnings,
            checked_tags(self.publication.tags),
        )

    def over(self, weights: FileEntry) -> Manifest:
        """The manifest over the files that will be stored, with these weights."""
        whole = (_entry(name, data) for name, data in self.whole)
        return self.manifest((_entry(CONFIG_FILE, self.config), weights, *whole))

    def foreseen(self) -> Manifest:
        """The manifest over the files that will be stored. Reads the weights; raises OSError."""
        hasher, published = Hasher(), self.folder.weights
        with open_regular(self.folder.path / WEIGHTS_FILE, MAX_WEIGHTS_BYTES) as source:
            for chunk in chunks_of(published.read_from(source)):
                hasher.update(chunk)
        return self.over(FileEntry(WEIGHTS_FILE, hasher.size, hasher.digest))

    def store(
        self,
        blobs: BlobStore,
        progress: Progress | None = None,
        held: Held = NOTHING_HELD,
        begun: BegunWeights | None = None,
    ) -> bytes:
        """As `Ready` says; raises AdapterRefused when the weights were changed meanwhile, and OSError."""
        stored = Stored(blobs, self.size, progress)
        stored.put(CONFIG_FILE, io.BytesIO(self.config))
        published = self.folder.weights
        if WEIGHTS_FILE in held and not published.beginning:
            stored.keep(held[WEIGHTS_FILE])
        elif begun is not None and not published.beginning:
            stored.take(WEIGHTS_FILE, begun, self._is_whole)
        else:
            with BegunWeights(blobs, self.folder.path, published.read_from) as anew:
                stored.take(WEIGHTS_FILE, anew, self._is_whole)
        for name, data in self.whole:
            stored.put(name, io.BytesIO(data))
        return stored.under(self.manifest(tuple(stored.files)).to_bytes())

    def _is_whole(self, weights: Filled) -> bool:
        """Whether what was stored is what was checked."""
        head = self.folder.weights.beginning or self.folder.head
        with weights.staged.open() as file:
            return weights.come_from(self.folder.state) and file.read(len(head)) == head


def draft(folder: Path, publication: Publication) -> Draft:
    """A draft of what `folder` holds.

    Raises AdapterRefused and its kinds, BaseUnreachable, BaseUnsupported and InvalidPublication.
    """
    try:
        publication = with_shared_base(folder, publication)
        shape = None if publication.base is None else publication.base.shape
        read = read_peft_folder(folder, shape)
        base = bound_base(read.config, publication)
        template = own_template(folder, base)
        attached = read_attachments(folder, publication.attachments)
    except OSError as error:
        raise AdapterRefused(f"{folder} cannot be read: {error}", field="folder") from error
    try:
        config = dumps(read.config.normalised(base.id, base.revision, read.paths))
    except InvalidJson as error:
        raise MalformedFile(f"{CONFIG_FILE} cannot be normalised: {error}", field=CONFIG_FILE) from error
    targets = tuple(module.target for module in read.modules)
    check_published_config(config, targets)
    digest = None if template is None else digest_of(template)
    contract = Contract(base, targets, read.config.use_rslora, publication.rendering, digest)
    check_limits(contract, publication)
    found = (
        *read.warnings,
        *base_warnings(read.config, base),
        *((_OWN_TEMPLATE,) if template else ()),
        *token_warnings(folder, base),
    )
    noticed = publication.noticed
    warnings = (*noticed, *(warning for warning in found if warning not in noticed))
    result = Draft(read, config, contract, publication, warnings, template, attached)
    # A manifest that cannot be written must be refused before anything is stored. The weights' digest, not
    # known yet, has as many characters as any other.
    weights = FileEntry(WEIGHTS_FILE, read.weights.header.file_bytes, digest_of(b""))
    check_recordable(result.over(weights))
    return result


def check_recordable(manifest: Manifest) -> None:
    """Raises InvalidPublication where a manifest cannot be written as JSON and read back."""
    try:
        data = manifest.to_bytes()
    except InvalidJson as error:
        raise InvalidPublication(f"the publication cannot be recorded: {error}") from error
    if len(data) > MAX_MANIFEST_BYTES:
        raise InvalidPublication(
            f"the manifest would be {len(data)} bytes, with {len(manifest.contract.targets)} modules; "
            f"{MAX_MANIFEST_BYTES} fit: shorten the modules' names or adapt fewer"
        )
    try:
        # What the index could not read back must never get into it.
        Manifest.from_bytes(data)
    except InvalidManifest as error:
        raise InvalidPublication(f"the publication cannot be recorded: {error}", field=error.field) from error
    _check_printable(loads(data))


def _entry(name: str, data: bytes) -> FileEntry:
    return FileEntry(name, len(data), digest_of(data))


def _check_printable(manifest: JSON) -> None:
    """Raises InvalidPublication where a text would do something to the terminal of whoever looks at it."""
    field = unprintable_field(manifest, free=_FREE_TEXTS)
    if field is not None:
        raise InvalidPublication(
            f"{field[:100]!a} holds a control character or a mark of direction, which terminals obey; "
            "write it without",
            field=printable(field[:100]),
        )
