"""Files that a version carries beside its adapter: records and reports, nothing that a loader reads."""

from parfocal.registry.values.attachments.names import (
    DATA_REPORT_FILE,
    EVALUATION_FILE,
    MAX_ATTACHMENT_BYTES,
    MOST_ATTACHMENTS,
    RECORDS,
    REPORT_FILE,
    is_attachment,
)

__all__ = [
    "DATA_REPORT_FILE",
    "EVALUATION_FILE",
    "MAX_ATTACHMENT_BYTES",
    "MOST_ATTACHMENTS",
    "RECORDS",
    "REPORT_FILE",
    "is_attachment",
]
