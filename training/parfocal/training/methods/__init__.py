"""Trains an adapter on its 4-bit base."""

from parfocal.training.methods.adapter import Device, load_served, training_device
from parfocal.training.methods.choosing import measure_of
from parfocal.training.methods.fitting import Fitted, fit, setting_of
from parfocal.training.methods.method import Marks, Measure, Setting
from parfocal.training.methods.order import row_order
from parfocal.training.methods.resident import ResidentBase

__all__ = [
    "Device",
    "Fitted",
    "Marks",
    "Measure",
    "ResidentBase",
    "Setting",
    "fit",
    "load_served",
    "measure_of",
    "row_order",
    "setting_of",
    "training_device",
]
