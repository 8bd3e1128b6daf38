"""A look and its figures as one JSON document for machines."""

from dataclasses import asdict
from typing import Any

from parfocal.cli.monitoring.canaries import canaries_on
from parfocal.cli.monitoring.history import View
from parfocal.cli.monitoring.look import SERVING


def status_document(address: str, view: View) -> dict[str, Any]:
    """Health, model with its limits, adapters, figures, and what is missing. Seconds and bytes throughout."""
    look, figures = view.look, view.figures
    return {
        "address": address,
        "serving": look.state == SERVING,
        "state": look.state,
        "fault": look.fault or None,
        "model": None if look.model is None else asdict(look.model),
        "adapters": [asdict(each) for each in look.adapters],
        "figures": None
        if figures is None
        else {
            "window_s": figures.window_s,
            "requests_running": figures.running,
            "requests_waiting": figures.waiting,
            "tokens_per_s": figures.tokens_per_s,
            "prompt_tokens_per_s": figures.prompt_tokens_per_s,
            "time_to_first_token_s": None if figures.first_token is None else asdict(figures.first_token),
            "time_per_output_token_s": None if figures.per_token is None else asdict(figures.per_token),
            "errors": dict(figures.errors),
            "kv_blocks": dict(figures.blocks),
            "memory_bytes": dict(figures.memory),
        },
        "canaries": [] if look.page is None else [each.to_json() for each in canaries_on(look.page)],
        "missing": list(look.missing),
    }
