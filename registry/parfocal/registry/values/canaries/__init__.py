"""What an alias with two versions is: its split, which key gets which version, when it is ended, and why."""

from parfocal.registry.values.canaries.canary import Canary, CanaryPlan
from parfocal.registry.values.canaries.ending import CanaryEnd, CanaryOutcome
from parfocal.registry.values.canaries.guard import USUAL_SAMPLES, CanaryComparison, Guard, GuardedMetric
from parfocal.registry.values.canaries.weight import WHOLE, bucket_of, check_weight, weight_text

__all__ = [
    "USUAL_SAMPLES",
    "WHOLE",
    "Canary",
    "CanaryComparison",
    "CanaryEnd",
    "CanaryOutcome",
    "CanaryPlan",
    "Guard",
    "GuardedMetric",
    "bucket_of",
    "check_weight",
    "weight_text",
]
