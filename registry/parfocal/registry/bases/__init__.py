"""Finds a base and describes what adapters are bound to: small files and a sample of its weights."""

from parfocal.registry.bases.decoder_config import decoder_fields
from parfocal.registry.bases.description import describe_base, is_tokenizer_of, tokenizer_reader
from parfocal.registry.bases.files import BaseFiles, locate_base, locate_shared_base
from parfocal.registry.bases.shapes import check_module, layer_projections

__all__ = [
    "BaseFiles",
    "check_module",
    "decoder_fields",
    "describe_base",
    "is_tokenizer_of",
    "layer_projections",
    "locate_base",
    "locate_shared_base",
    "tokenizer_reader",
]
