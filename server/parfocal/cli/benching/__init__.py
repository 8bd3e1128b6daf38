"""The flags of `parfocal bench` and what they mean."""

from parfocal.cli.benching.flag_values import against_given, endpoints_given, profile_given, workload_in
from parfocal.cli.benching.flags import FLAGS

__all__ = ["FLAGS", "against_given", "endpoints_given", "profile_given", "workload_in"]
