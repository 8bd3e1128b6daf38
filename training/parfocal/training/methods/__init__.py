"""Trains an adapter on its 4-bit base."""

from parfocal.training.methods.adapter import Device, load_served, training_device
from parfocal.training.methods.fitting import Fitted, fit
from parfocal.training.methods.order import row_order

__all__ = [
    "Device",
    "Fitted",
    "fit",
    "load_served",
    "row_order",
    "training_device",
]
