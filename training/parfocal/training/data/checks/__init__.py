"""What is to be known of a data set before anything is trained on it, in one pass over a file of any size."""

from parfocal.training.data.checks.checking import CheckSettings, check_contents, check_data
from parfocal.training.data.checks.coverage import length_name
from parfocal.training.data.checks.fits import Fit, MethodFit, fits, mapped, view_of
from parfocal.training.data.checks.lengths import Bar, Lengths
from parfocal.training.data.checks.report import DataReport

__all__ = [
    "Bar",
    "CheckSettings",
    "DataReport",
    "Fit",
    "Lengths",
    "MethodFit",
    "check_contents",
    "check_data",
    "fits",
    "length_name",
    "mapped",
    "view_of",
]
