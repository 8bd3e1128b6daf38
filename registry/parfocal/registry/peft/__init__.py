"""Reads PEFT folders: configuration, tensors' headers, patterns; refuses by name what cannot be served."""

from parfocal.registry.peft.config import PeftConfig
from parfocal.registry.peft.fields import check_fields
from parfocal.registry.peft.folder import (
    MAX_CONFIG_BYTES,
    MAX_WEIGHTS_BYTES,
    PeftFolder,
    read_config,
    read_peft_folder,
)
from parfocal.registry.peft.folder_files import check_kind, open_regular
from parfocal.registry.peft.published_weights import begun_anew
from parfocal.registry.peft.rereading import check_published_config
from parfocal.registry.peft.safetensors_header import SafetensorsHeader, TensorSpan, read_header

__all__ = [
    "MAX_CONFIG_BYTES",
    "MAX_WEIGHTS_BYTES",
    "PeftConfig",
    "PeftFolder",
    "SafetensorsHeader",
    "TensorSpan",
    "begun_anew",
    "check_fields",
    "check_kind",
    "check_published_config",
    "open_regular",
    "read_config",
    "read_header",
    "read_peft_folder",
]
