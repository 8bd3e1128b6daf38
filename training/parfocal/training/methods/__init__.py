"""Trains an adapter on its 4-bit base."""

from parfocal.training.methods.adapter import load_served, training_device
from parfocal.training.methods.fitting import Fitted, fit

__all__ = [
    "Fitted",
    "fit",
    "load_served",
    "training_device",
]
