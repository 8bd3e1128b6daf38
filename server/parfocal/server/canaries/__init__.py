"""Canaries as a server sees them: who gets which version, how both do, and when one is aborted."""

from parfocal.server.canaries.aborting import Aborter, AbortsCanaries
from parfocal.server.canaries.measured import Ended, Measured
from parfocal.server.canaries.splits import Arm, Shown, Splits

__all__ = ["Aborter", "AbortsCanaries", "Arm", "Ended", "Measured", "Shown", "Splits"]
