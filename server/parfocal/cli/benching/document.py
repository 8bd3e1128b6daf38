"""A bench as numbers for machines, and the few by which it is quoted. Knows no measuring and no terminal."""

import statistics
from dataclasses import asdict, dataclass

from .figures import Figures
from .limit import decode_limit
from .stand import Bench
from .under_load import Load, swept

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures that a bench is quoted by. PEFT's are None where it was not measured."""

    tokens_per_second: float
    base_only_tokens_per_second: float
    peft_tokens_per_second: float | None
    peft_dtype: str | None

    @property
    def ratio_to_peft(self) -> float | None:
        """Returns how many times faster than PEFT we are."""
        return (
            None
            if self.peft_tokens_per_second is None
            else self.tokens_per_second / self.peft_tokens_per_second
        )

    @property
    def ratio_to_base_only(self) -> float:
        """Returns what is left of our own speed when every request names an adapter."""
        return self.tokens_per_second / self.base_only_tokens_per_second


def summary_of(bench: Bench) -> Summary:
    """Returns the medians of all rounds; PEFT's in the type in which it is fastest."""
    medians = {dtype: statistics.median(speeds) for dtype, speeds in bench.peft.items()}
    fastest = max(medians, key=lambda dtype: medians[dtype]) if medians else None
    return Summary(
        tokens_per_second=bench.served.mixed.tokens_per_second,
        base_only_tokens_per_second=bench.served.base_only.tokens_per_second,
        peft_tokens_per_second=None if fastest is None else medians[fastest],
        peft_dtype=fastest,
    )


def document(bench: Bench) -> Document:
    """Returns everything that was measured, for machines."""
    summary, served = summary_of(bench), bench.served
    return {
        "tokens_per_second": summary.tokens_per_second,
        "peft_tokens_per_second": summary.peft_tokens_per_second,
        "base_only_tokens_per_second": summary.base_only_tokens_per_second,
        "ratio_to_peft": summary.ratio_to_peft,
        "ratio_to_base_only": summary.ratio_to_base_only,
        "ttft_seconds": asdict(served.mixed.ttft),
        "inter_token_seconds": asdict(served.mixed.inter_token),
        "base_only_ttft_seconds": asdict(served.base_only.ttft),
        "base_only_inter_token_seconds": asdict(served.base_only.inter_token),
        "rounds": {
            "tokens_per_second": list(served.mixed.rounds),
            "base_only_tokens_per_second": list(served.base_only.rounds),
            "peft_tokens_per_second": {dtype: list(speeds) for dtype, speeds in bench.peft.items()},
        },
        "peft_dtype": summary.peft_dtype,
        "dtype": served.dtype,
        "device": served.device,
        "cached_prompt_tokens": served.mixed.cached_tokens + served.base_only.cached_tokens,
        "endpoints": {
            name: {"url": bench.urls[name]} | _endpoint_document(bench, load)
            for name, load in bench.endpoints.items()
        },
        "limit": _limit_document(bench),
        "sweep": [_sweep_document(bench, count) for count in bench.workload.sweep],
        "workload": asdict(bench.workload) | {"sizes": asdict(bench.workload.sizes())},
        "machine": dict(bench.machine),
        "versions": dict(bench.versions),
    }


def sweep_limit(bench: Bench, adapters: int) -> float:
    """Returns the tokens per second that the memory allows with so many distinct adapters."""
    workload = swept(bench.workload, adapters)
    return decode_limit(workload, bench.sweep_bytes[adapters], bench.copy_bytes_per_second)


def _endpoint_document(bench: Bench, load: Load) -> Document:
    ours = bench.served.mixed.tokens_per_second
    base_only = None if load.base_only is None else _figures_document(load.base_only)
    return {
        **_figures_document(load.mixed),
        "base_only": base_only,
        "ratio_of_ours": ours / load.mixed.tokens_per_second,
    }


def _sweep_document(bench: Bench, adapters: int) -> Document:
    return {
        "adapters": adapters,
        **_figures_document(bench.served.sweep[adapters]),
        "limit_tokens_per_second": sweep_limit(bench, adapters),
        "endpoints": {
            name: _figures_document(load.sweep[adapters]) for name, load in bench.endpoints.items()
        },
    }


def _figures_document(figures: Figures) -> Document:
    return {
        "tokens_per_second": figures.tokens_per_second,
        "rounds": list(figures.rounds),
        "ttft_seconds": asdict(figures.ttft),
        "inter_token_seconds": asdict(figures.inter_token),
        "cached_prompt_tokens": figures.cached_tokens,
    }


def _limit_document(bench: Bench) -> Document:
    parts = {"mixed": bench.mixed_bytes, "base_only": bench.base_only_bytes}
    return {
        "copy_bytes_per_second": bench.copy_bytes_per_second,
        "step_bytes": {name: asdict(part) | {"total": part.total} for name, part in parts.items()},
        "decode_tokens_per_second": {
            name: decode_limit(bench.workload, part, bench.copy_bytes_per_second)
            for name, part in parts.items()
        },
    }
