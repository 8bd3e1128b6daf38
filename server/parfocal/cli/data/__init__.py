"""Looks at data before anything is trained: the commands of `parfocal data`."""

from parfocal.cli.data.columns import read_columns
from parfocal.cli.data.group import build_data

__all__ = ["build_data", "read_columns"]
