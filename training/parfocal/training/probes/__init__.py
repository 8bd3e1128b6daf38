"""Texts that every adapter is probed with: general ones, and pairs: clichés, modern facts. No torch."""

from parfocal.training.probes.packaged import general_texts, text_pairs

__all__ = ["general_texts", "text_pairs"]
