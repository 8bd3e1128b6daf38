"""The registry's vocabulary: names, digests, references, manifests, contracts, records. Values only."""

from parfocal.registry.values.arguments import (
    check_actor,
    check_expected,
    check_needed,
    check_reason,
    check_sequence,
    check_version,
)
from parfocal.registry.values.base_contract import (
    MEANING,
    PLAIN_PREFIX,
    SPELLING,
    BaseContract,
    BaseDigests,
    BaseShape,
    Difference,
    Quantisation,
)
from parfocal.registry.values.canonical_json import JSON, InvalidJson, dumps, loads
from parfocal.registry.values.contract import Contract, TargetModule
from parfocal.registry.values.digest import (
    PREFIX,
    Hasher,
    chunks_of,
    copy_hashing,
    digest_of,
    digest_of_file,
    hex_of,
    parse_digest,
)
from parfocal.registry.values.events import MOVE_KINDS, Event, EventKind, Standing
from parfocal.registry.values.filters import (
    ALL_MOVES,
    ALL_VERSIONS,
    MoveFilter,
    Span,
    VersionFilter,
    adapters_listing,
)
from parfocal.registry.values.foreign_json import UnreadableJson, check_once, read_foreign_json
from parfocal.registry.values.json_fields import FieldError, JsonObject, kind_of
from parfocal.registry.values.limits import (
    MAX_ALIASES,
    MAX_MANIFEST_BYTES,
    MAX_METRICS,
    MAX_MODULES,
    MAX_PROVENANCE_BYTES,
    MAX_SIZE,
    MAX_STORED_MANIFEST_BYTES,
    MAX_TEMPLATE_VARIABLES_BYTES,
    MAX_TEXT,
)
from parfocal.registry.values.manifest import (
    CONFIG_FILE,
    SCHEMA,
    TEMPLATE_FILE,
    WEIGHTS_FILE,
    FileEntry,
    Manifest,
)
from parfocal.registry.values.names import AdapterName, check_alias
from parfocal.registry.values.pages import (
    MAX_PAGE_SIZE,
    Page,
    checked_page_size,
    every_item,
    key_in,
    page_token,
)
from parfocal.registry.values.printable import printable, unprintable_field
from parfocal.registry.values.provenance import Evaluation, Provenance
from parfocal.registry.values.recent import Recent
from parfocal.registry.values.records import AdapterSummary, Alias, AliasMove, MoveKind, Version
from parfocal.registry.values.reference import Reference
from parfocal.registry.values.rendering import Rendering
from parfocal.registry.values.rollback import rollback_target

__all__ = [
    "ALL_MOVES",
    "ALL_VERSIONS",
    "CONFIG_FILE",
    "JSON",
    "MAX_ALIASES",
    "MAX_MANIFEST_BYTES",
    "MAX_METRICS",
    "MAX_MODULES",
    "MAX_PAGE_SIZE",
    "MAX_PROVENANCE_BYTES",
    "MAX_SIZE",
    "MAX_STORED_MANIFEST_BYTES",
    "MAX_TEMPLATE_VARIABLES_BYTES",
    "MAX_TEXT",
    "MEANING",
    "MOVE_KINDS",
    "PLAIN_PREFIX",
    "PREFIX",
    "SCHEMA",
    "SPELLING",
    "TEMPLATE_FILE",
    "WEIGHTS_FILE",
    "AdapterName",
    "AdapterSummary",
    "Alias",
    "AliasMove",
    "BaseContract",
    "BaseDigests",
    "BaseShape",
    "Contract",
    "Difference",
    "Evaluation",
    "Event",
    "EventKind",
    "FieldError",
    "FileEntry",
    "Hasher",
    "InvalidJson",
    "JsonObject",
    "Manifest",
    "MoveFilter",
    "MoveKind",
    "Page",
    "Provenance",
    "Quantisation",
    "Recent",
    "Reference",
    "Rendering",
    "Span",
    "Standing",
    "TargetModule",
    "UnreadableJson",
    "Version",
    "VersionFilter",
    "adapters_listing",
    "check_actor",
    "check_alias",
    "check_expected",
    "check_needed",
    "check_once",
    "check_reason",
    "check_sequence",
    "check_version",
    "checked_page_size",
    "chunks_of",
    "copy_hashing",
    "digest_of",
    "digest_of_file",
    "dumps",
    "every_item",
    "hex_of",
    "key_in",
    "kind_of",
    "loads",
    "page_token",
    "parse_digest",
    "printable",
    "read_foreign_json",
    "rollback_target",
    "unprintable_field",
]
