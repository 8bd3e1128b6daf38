"""Searches for the settings of a run by command."""

from parfocal.cli.tuning.command import build_tune

__all__ = ["build_tune"]
