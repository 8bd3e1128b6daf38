"""What a registry's service may have under way. Numbers only, so that settings name them without a wire."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Each is a setting of the server, under its name here.

    max_registry_rpcs: an answer may have megabytes, which wait in memory for callers that read slowly.
    max_upload_bytes: of all uploads together; None for half of what is free on their disk.
    upload_idle_s: seconds in which an upload must send 256 KiB, or its rest.
    upload_keep_s: seconds for which a cut upload, or an uploaded file, waits for the rest or to be published.
    """

    max_registry_rpcs: int = 256
    max_uploads: int = 64
    max_upload_bytes: int | None = None
    upload_idle_s: float = 30.0
    upload_keep_s: float = 86400.0
