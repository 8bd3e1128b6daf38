"""What `parfocal bench` needs: a random base and adapters, our server under load, its limits and steps."""

from parfocal.bench.errors import AnswerWrong, BadWorkload, BenchError, CheckoutMissing, ServerNotReady

__all__ = ["AnswerWrong", "BadWorkload", "BenchError", "CheckoutMissing", "ServerNotReady"]
