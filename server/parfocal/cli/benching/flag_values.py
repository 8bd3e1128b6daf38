"""What the flags of `parfocal bench` say: a workload, other servers, settings to compare with."""

from dataclasses import replace
from typing import TYPE_CHECKING

from parfocal.bench import BadWorkload
from parfocal.bench.workloads import Against, Workload, against_in, lengths_in, ranks_in, rate_in, sweep_in
from parfocal.cli.flags import Given

if TYPE_CHECKING:
    from parfocal.bench import ServerRival

PROFILES = ("steps", "growth")

_ENDPOINTS = ("endpoint", "endpoint_model", "endpoint_base", "endpoint_lora_ids")
_WORK = ("shape", "requests", "adapters", "rank", "new_tokens")
_SETTINGS = ("dtype", "adapter_dtype", "kernels", "activation_bits")
_RUN = ("warmup", "repeats", "seed", "shared_prefix", "zipf", "slots", "max_requests", "in_flight")


def workload_in(given: Given) -> Workload:
    """The workload. Raises BadWorkload."""
    plain = {name: given[name] for name in (*_WORK, *_SETTINGS, *_RUN) if name in given}
    workload = replace(Workload(), **plain)  # type: ignore[arg-type]  # the flags have the fields' types
    if "ranks" in given:
        if "rank" in given:
            raise BadWorkload("rank and ranks are both given; give the one you mean", field="ranks")
        ranks = ranks_in(str(given["ranks"]))
        workload = replace(workload, ranks=ranks, rank=max(ranks))
    if "prompt_tokens" in given:
        shortest, longest = lengths_in(str(given["prompt_tokens"]))
        is_range = shortest != longest
        workload = replace(workload, prompt_tokens=longest, shortest_prompt=shortest if is_range else None)
    if "rate" in given:
        rate, share = rate_in(str(given["rate"]))
        workload = replace(workload, rate=rate, rate_share=share)
    return replace(workload, sweep=sweep_in(str(given["sweep"]))) if "sweep" in given else workload


def endpoints_given(given: Given) -> "tuple[ServerRival, ...]":
    """The other servers. Raises BadWorkload, and CheckoutMissing where nothing can ask them."""
    urls, models, base_models, lora_ids = (_texts(given, name) for name in _ENDPOINTS)
    if not (urls or models or base_models or lora_ids):
        return ()
    from parfocal.bench import additions_for

    return additions_for("--endpoint").endpoints(urls, models, base_models, lora_ids)


def against_given(given: Given, workload: Workload) -> Against | None:
    """What the workload is compared to. Raises BadWorkload."""
    return against_in(str(given["against"]), workload) if "against" in given else None


def profile_given(given: Given) -> str | None:
    """Which profile is wanted. Raises BadWorkload."""
    profile = given.get("profile")
    if profile is not None and profile not in PROFILES:
        raise BadWorkload(f"profile is {profile!r}; there are {', '.join(PROFILES)}", field="profile")
    return None if profile is None else str(profile)


def _texts(given: Given, name: str) -> list[str]:
    values = given.get(name, [])
    assert isinstance(values, list)
    return values
