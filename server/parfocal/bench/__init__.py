"""What `parfocal bench` needs: a random base and adapters, our server under load, limits, profiles."""

from parfocal.bench.checkout import Additions, additions, additions_for
from parfocal.bench.errors import AnswerWrong, BadWorkload, BenchError, CheckoutMissing, ServerNotReady
from parfocal.bench.others import BatchRival, ServerRival

__all__ = [
    "Additions",
    "AnswerWrong",
    "BadWorkload",
    "BatchRival",
    "BenchError",
    "CheckoutMissing",
    "ServerNotReady",
    "ServerRival",
    "additions",
    "additions_for",
]
