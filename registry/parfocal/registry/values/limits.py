"""How large may be what is published or recorded. What is stored already is read beyond that."""

from parfocal.v1.limits import (
    ALIASES,
    MANIFEST_BYTES,
    METRICS,
    MODULES,
    PROVENANCE_BYTES,
    SIGNATURE_BYTES,
    SIGNATURES,
    TAGS,
    TEXT_CHARACTERS,
    VARIABLES_BYTES,
)

MAX_ALIASES = ALIASES.most
MAX_MANIFEST_BYTES = MANIFEST_BYTES.most
MAX_METRICS = METRICS.most
MAX_MODULES = MODULES.most
MAX_PROVENANCE_BYTES = PROVENANCE_BYTES.most
MAX_TAGS = TAGS.most
MAX_SIGNATURE_BYTES = SIGNATURE_BYTES.most
MAX_SIGNATURES = SIGNATURES.most
MAX_TEMPLATE_VARIABLES_BYTES = VARIABLES_BYTES.most
MAX_TEXT = TEXT_CHARACTERS.most

# Earlier versions of Parfocal accepted this much.
MAX_STORED_MANIFEST_BYTES = 8 << 20
# Sizes on the wire are 32-bit integers.
MAX_SIZE = (1 << 31) - 1
