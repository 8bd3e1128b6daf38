"""On a GPU: adapters that take turns in fewer slots between the steps never give a wrong token."""

import random
from pathlib import Path

import pytest

from oracle.churn import PROMPTS, RANKS, Call, Cast, Stage, Tiers, check_churn, open_stage, write_cast

pytestmark = pytest.mark.gpu

TIERS = [Tiers(1, 100), Tiers(2, 0), Tiers(2, 2), Tiers(2, 100)]
_PLANS = 8


@pytest.fixture(scope="module")
def cast(llama_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Cast:
    return write_cast(llama_base, tmp_path_factory.mktemp("adapters"), "cuda")


@pytest.fixture(
    scope="module", params=TIERS, ids=lambda tiers: f"{tiers.slots} slots, {tiers.on_host} on the host"
)
def stage(request: pytest.FixtureRequest, cast: Cast) -> Stage:
    return open_stage(cast, request.param)


@pytest.mark.parametrize("plan", range(_PLANS))
def test_churn_never_changes_a_token_and_leaks_nothing(stage: Stage, plan: int) -> None:
    draw = random.Random(plan)
    calls = [
        Call(
            prompt=draw.randrange(PROMPTS),
            digest=draw.choice(["", *RANKS]),
            arrives=draw.randrange(13),
            leaves=draw.choice([None, None, draw.randrange(21)]),
        )
        for _ in range(12)
    ]

    check_churn(stage, calls)
