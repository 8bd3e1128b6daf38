"""A bench as numbers for machines, and the few to quote. Knows no measuring and no terminal."""

import statistics
from dataclasses import asdict, dataclass

from parfocal.bench.limits import Hardware, Need, Roofline, roofline
from parfocal.bench.load import Figures, Load, swept
from parfocal.bench.stand import Bench

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures that a bench is quoted by. Those that were not measured are None."""

    tokens_per_second: float
    base_only_tokens_per_second: float | None
    alternative_tokens_per_second: float | None
    peft_tokens_per_second: float | None
    peft_dtype: str | None

    @property
    def ratio_to_peft(self) -> float | None:
        """How many times faster than PEFT we are."""
        return self._ratio_to(self.peft_tokens_per_second)

    @property
    def ratio_to_base_only(self) -> float | None:
        """What is left of our own speed when every request names an adapter."""
        return self._ratio_to(self.base_only_tokens_per_second)

    @property
    def ratio_to_alternative(self) -> float | None:
        """Our speed as a part of what the compared settings give."""
        return self._ratio_to(self.alternative_tokens_per_second)

    def _ratio_to(self, speed: float | None) -> float | None:
        return None if speed is None else self.tokens_per_second / speed


def summary_of(bench: Bench) -> Summary:
    """The medians of all rounds; PEFT's in the type in which it is fastest."""
    medians = {dtype: statistics.median(speeds) for dtype, speeds in bench.peft.items()}
    fastest = max(medians, key=lambda dtype: medians[dtype]) if medians else None
    load = bench.served.load
    return Summary(
        tokens_per_second=load.mixed.tokens_per_second,
        base_only_tokens_per_second=None if load.base_only is None else load.base_only.tokens_per_second,
        alternative_tokens_per_second=None
        if load.alternative is None
        else load.alternative.tokens_per_second,
        peft_tokens_per_second=None if fastest is None else medians[fastest],
        peft_dtype=fastest,
    )


def document(bench: Bench) -> Document:
    """Everything that was measured, as JSON."""
    summary, served, load = summary_of(bench), bench.served, bench.served.load
    return {
        "tokens_per_second": summary.tokens_per_second,
        "peft_tokens_per_second": summary.peft_tokens_per_second,
        "base_only_tokens_per_second": summary.base_only_tokens_per_second,
        "ratio_to_peft": summary.ratio_to_peft,
        "ratio_to_base_only": summary.ratio_to_base_only,
        "ttft_seconds": asdict(load.mixed.ttft),
        "inter_token_seconds": asdict(load.mixed.inter_token),
        "rounds": {
            "tokens_per_second": list(load.mixed.rounds),
            "base_only_tokens_per_second": list(load.base_only.rounds) if load.base_only else [],
            "peft_tokens_per_second": {dtype: list(speeds) for dtype, speeds in bench.peft.items()},
        },
        "base_only": None if load.base_only is None else figures_document(load.base_only),
        "against": _against_document(bench, load),
        "saturation": _saturation_document(bench),
        "server": _server_document(bench),
        "peft_dtype": summary.peft_dtype,
        "dtype": served.stored.dtype,
        "stored": asdict(served.stored),
        "device": served.device,
        "cached_prompt_tokens": load.mixed.cached_tokens
        + (load.base_only.cached_tokens if load.base_only else 0),
        "endpoints": {
            name: {"url": bench.urls[name]} | _endpoint_document(bench, other)
            for name, other in bench.endpoints.items()
        },
        "limit": _limit_document(bench),
        "sweep": [_sweep_document(bench, count) for count in bench.workload.sweep],
        "workload": asdict(bench.workload) | {"sizes": asdict(bench.workload.sizes())},
        "machine": dict(bench.machine),
        "versions": dict(bench.versions),
    }


def rooflines(bench: Bench) -> dict[str, Roofline]:
    """What the workload's rounds need: with adapters, and of the base only."""
    stored = bench.served.stored
    return {
        "mixed": roofline(bench.workload, stored),
        "base_only": roofline(bench.workload, stored, base_only=True),
    }


def sweep_limit(bench: Bench, adapters: int) -> float:
    """The tokens per second that the hardware allows a whole round with so many distinct adapters."""
    return roofline(swept(bench.workload, adapters), bench.served.stored).run_limit(bench.hardware)


def need_document(need: Need, hardware: Hardware) -> Document:
    """A need in bytes and operations, part by part, and the time that it takes at least."""
    return {
        "bytes": asdict(need.bytes) | {"total": need.bytes.total},
        "flops": asdict(need.flops) | {"total": need.flops.total},
        "seconds": need.seconds(hardware),
        "bound_by": need.bound(hardware),
    }


def hardware_document(hardware: Hardware) -> Document:
    """What the machine can do at most."""
    return asdict(hardware) | {
        "bytes_per_second": hardware.bytes_per_second,
        "flops_per_second": hardware.flops_per_second,
        "fastest_dtype": hardware.fastest_dtype,
    }


def figures_document(figures: Figures) -> Document:
    """What several rounds gave."""
    return {
        "tokens_per_second": figures.tokens_per_second,
        "rounds": list(figures.rounds),
        "ttft_seconds": asdict(figures.ttft),
        "inter_token_seconds": asdict(figures.inter_token),
        "cached_prompt_tokens": figures.cached_tokens,
    }


def _against_document(bench: Bench, load: Load) -> Document | None:
    if load.alternative is None or bench.against is None:
        return None
    ours, theirs = load.mixed.ttft, load.alternative.ttft
    return {
        "what": bench.against.text,
        **figures_document(load.alternative),
        "ratio": summary_of(bench).ratio_to_alternative,
        "ttft_ratio": {name: getattr(ours, name) / getattr(theirs, name) for name in ("p50", "p90", "p99")},
    }


def _saturation_document(bench: Bench) -> Document | None:
    found = bench.served.saturation
    return None if found is None else asdict(found) | {"rate": found.rate}


def _server_document(bench: Bench) -> Document | None:
    watched = bench.served.watched
    if watched is None:
        return None
    return {
        "memory": [asdict(sample) for sample in watched.memory],
        "grown_bytes": watched.grown_bytes,
        "rest": asdict(watched.rest) | {"is_clean": watched.rest.is_clean},
    }


def _endpoint_document(bench: Bench, load: Load) -> Document:
    ours = bench.served.load.mixed
    inter_token = load.mixed.inter_token.p50
    return {
        **figures_document(load.mixed),
        "base_only": None if load.base_only is None else figures_document(load.base_only),
        "ratio_of_ours": ours.tokens_per_second / load.mixed.tokens_per_second,
        "inter_token_ratio": ours.inter_token.p50 / inter_token if inter_token else None,
    }


def _sweep_document(bench: Bench, adapters: int) -> Document:
    return {
        "adapters": adapters,
        "adapters_per_slot": adapters / bench.workload.server_slots,
        **figures_document(bench.served.load.sweep[adapters]),
        "limit_tokens_per_second": sweep_limit(bench, adapters),
        "endpoints": {name: figures_document(load.sweep[adapters]) for name, load in bench.endpoints.items()},
    }


def _limit_document(bench: Bench) -> Document:
    summary = summary_of(bench)
    roofs = rooflines(bench)
    return {
        "hardware": hardware_document(bench.hardware),
        "mixed": _roofline_document(bench, roofs["mixed"], summary.tokens_per_second),
        "base_only": _roofline_document(bench, roofs["base_only"], summary.base_only_tokens_per_second),
    }


def _roofline_document(bench: Bench, roof: Roofline, speed: float | None) -> Document:
    """In open loop the rate decides, so no share of the limit was tried for."""
    hardware, run = bench.hardware, roof.run_limit(bench.hardware)
    return {
        "decode_step": need_document(roof.decode, hardware),
        "prompts": need_document(roof.prompts, hardware),
        "decode_tokens_per_second": roof.decode_limit(hardware),
        "run_tokens_per_second": run,
        "share_reached": None if speed is None or bench.workload.is_open else speed / run,
    }
