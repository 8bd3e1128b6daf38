"""Looks at data before anything is trained: the commands of `parfocal data`."""

from parfocal.cli.data.columns import read_columns

__all__ = ["read_columns"]
