"""What stops a comparison."""

from parfocal.bench.errors import BenchError


class EndpointFailed(BenchError):
    """Another server refused a request, or broke off; the message names it and quotes what it said."""

    status = "UNAVAILABLE"
    reason = "ENDPOINT_FAILED"
