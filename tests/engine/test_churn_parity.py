"""Adapters and blends over fewer slots, callers that leave, one name re-pointed: never a wrong token."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oracle.churn import (
    BLENDS,
    PROMPTS,
    RANKS,
    Call,
    Cast,
    Stage,
    Tiers,
    check_churn,
    open_stage,
    write_cast,
)

calls = st.builds(
    Call,
    prompt=st.integers(0, PROMPTS - 1),
    digest=st.sampled_from(["", *RANKS, *BLENDS]),
    arrives=st.integers(0, 12),
    leaves=st.none() | st.integers(0, 20),
)

TIERS = [Tiers(2, 0), Tiers(2, 2), Tiers(1, 1), Tiers(2, 100)]


@pytest.fixture(scope="module")
def cast(llama_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Cast:
    return write_cast(llama_base, tmp_path_factory.mktemp("adapters"))


@pytest.fixture(
    scope="module", params=TIERS, ids=lambda tiers: f"{tiers.slots} slots, {tiers.on_host} on the host"
)
def stage(request: pytest.FixtureRequest, cast: Cast) -> Stage:
    return open_stage(cast, request.param)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(calls, min_size=1, max_size=9))
def test_churn_never_changes_a_token_and_leaks_nothing(stage: Stage, plan: list[Call]) -> None:
    check_churn(stage, plan)
