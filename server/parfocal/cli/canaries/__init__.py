"""Second versions of aliases: begun, shown, promoted and aborted by command."""

from parfocal.cli.canaries.canary import canary
from parfocal.cli.canaries.flags import (
    AbortOnOption,
    CanaryOption,
    SamplesOption,
    WeightOption,
    check_flags,
    plan_of,
)
from parfocal.cli.canaries.telling import held, points_at, told

__all__ = [
    "AbortOnOption",
    "CanaryOption",
    "SamplesOption",
    "WeightOption",
    "canary",
    "check_flags",
    "held",
    "plan_of",
    "points_at",
    "told",
]
