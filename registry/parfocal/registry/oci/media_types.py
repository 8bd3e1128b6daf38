"""The names of an image's parts: those of the OCI image specification and of CNCF ModelPack. Values only.

https://github.com/opencontainers/image-spec and https://github.com/modelpack/model-spec, June 2026.
"""

from parfocal.registry.cards import CARD_FILE
from parfocal.registry.packing import MANIFEST_FILE
from parfocal.registry.values import CONFIG_FILE, TEMPLATE_FILE, WEIGHTS_FILE

LAYOUT_FILE, INDEX_FILE, BLOBS = "oci-layout", "index.json", "blobs/sha256"
LAYOUT_VERSION = "1.0.0"

IMAGE_INDEX = "application/vnd.oci.image.index.v1+json"
IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MODEL = "application/vnd.cncf.model.manifest.v1+json"
MODEL_CONFIG = "application/vnd.cncf.model.config.v1+json"

WEIGHT = "application/vnd.cncf.model.weight.v1"
WEIGHT_CONFIG = "application/vnd.cncf.model.weight.config.v1"
DOC = "application/vnd.cncf.model.doc.v1"
RAW = ".raw"

# A signature is an image of its own that refers to what it signs: https://docs.sigstore.dev/about/bundle/.
SIGNATURE = "application/vnd.dev.sigstore.bundle.v0.3+json"
NO_CONFIG = "application/vnd.oci.empty.v1+json"
SIGNED_CONTENT = {
    "dev.sigstore.bundle.content": "dsse-envelope",
    "dev.sigstore.bundle.predicateType": "https://model_signing/signature/v1.0",
}

FILE_PATH = "org.cncf.model.filepath"
# What ORAS calls a layer's file; of the image itself, what it holds.
TITLE = "org.opencontainers.image.title"
TAG = "org.opencontainers.image.ref.name"

# The layers of an image, in their order, before those of attached files.
FILES = {
    CONFIG_FILE: WEIGHT_CONFIG + RAW,
    WEIGHTS_FILE: WEIGHT + RAW,
    TEMPLATE_FILE: WEIGHT_CONFIG + RAW,
    MANIFEST_FILE: DOC + RAW,
    CARD_FILE: DOC + RAW,
}
ATTACHED = DOC + RAW
