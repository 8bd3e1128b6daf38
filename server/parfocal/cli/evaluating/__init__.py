"""Measures versions beside their base by command."""

from parfocal.cli.evaluating.command import eval_

__all__ = ["eval_"]
