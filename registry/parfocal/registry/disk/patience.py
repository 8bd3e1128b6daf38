"""How long a call waits for what others hold: no longer than its caller does, where that has a deadline."""

import math
import time
from contextvars import ContextVar

_until: ContextVar[float] = ContextVar("parfocal-patience", default=math.inf)


def be_patient_until(moment: float) -> None:
    """Ends every wait of the current context at `moment`, on the clock of `time.monotonic`."""
    _until.set(moment)


def patience(most_s: float) -> float:
    """How many seconds to wait: at most `most_s`, and 0 when the caller's deadline has passed."""
    return max(0.0, min(most_s, _until.get() - time.monotonic()))
