"""What is known of a version beside others: whence it comes, how it was measured, in what it differs."""

from parfocal.registry.insight.changes import Change, ModuleChanges, VersionChanges, changes_between
from parfocal.registry.insight.lineage import Ancestor, Children, Find, ancestors, children, finder
from parfocal.registry.insight.measurements import Measured, Measurement, measurements

__all__ = [
    "Ancestor",
    "Change",
    "Children",
    "Find",
    "Measured",
    "Measurement",
    "ModuleChanges",
    "VersionChanges",
    "ancestors",
    "changes_between",
    "children",
    "finder",
    "measurements",
]
