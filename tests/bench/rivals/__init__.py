"""Others that do the same work beside us: servers with OpenAI's completions, and PEFT's mixed batch."""

from bench.rivals.endpoint_flags import endpoints_in
from bench.rivals.peft_rounds import PeftRival

__all__ = ["PeftRival", "endpoints_in"]
