"""How sure a figure is: intervals of rates, means and differences, and what could be told. No torch."""

from parfocal.training.intervals.bootstrap import CLUSTERS_THAT_TELL, Measure, Resamples, Weights
from parfocal.training.intervals.comparing import compare, compare_measures, estimate, estimate_measure
from parfocal.training.intervals.figures import LEVEL, Difference, Estimate, Interval, Verdict
from parfocal.training.intervals.paired_rates import exact_p_value, rate_difference
from parfocal.training.intervals.proportions import wilson

__all__ = [
    "CLUSTERS_THAT_TELL",
    "LEVEL",
    "Difference",
    "Estimate",
    "Interval",
    "Measure",
    "Resamples",
    "Verdict",
    "Weights",
    "compare",
    "compare_measures",
    "estimate",
    "estimate_measure",
    "exact_p_value",
    "rate_difference",
    "wilson",
]
