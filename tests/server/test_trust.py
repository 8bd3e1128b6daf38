"""What a server's settings say of signatures."""

from dataclasses import replace
from pathlib import Path

import pytest

from fakes.signing.signatures import key_of
from parfocal.registry.signing import NO_POLICY, Requirement, TrustedKey, add_trusted_key
from parfocal.server import BadSetting, ServeConfig
from parfocal.server.trust import signature_policy


def test_without_a_setting_nothing_is_required() -> None:
    assert signature_policy(ServeConfig()) is NO_POLICY
    assert ServeConfig().signatures == "off"


def test_a_file_of_keys_says_who_is_trusted(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    add_trusted_key(path, TrustedKey("ann", key_of("ann").public))
    config = replace(ServeConfig(), signatures="require", trusted_keys=str(path), signatures_at="publish")

    policy = signature_policy(config)

    assert (policy.requirement, policy.at_publishing) == (Requirement.REQUIRE, True)
    assert [key.name for key in policy.trusted.keys.values()] == ["ann"]
    assert not signature_policy(replace(config, signatures_at="alias")).at_publishing


def test_keys_without_a_requirement_are_for_gates(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    add_trusted_key(path, TrustedKey("ann", key_of("ann").public))
    policy = signature_policy(replace(ServeConfig(), trusted_keys=str(path)))
    assert policy.is_off
    assert [key.name for key in policy.trusted.keys.values()] == ["ann"]


@pytest.mark.parametrize("requirement", ["warn", "require"])
def test_who_requires_signatures_and_trusts_nobody_is_told_so(requirement: str, tmp_path: Path) -> None:
    config = replace(ServeConfig(), signatures=requirement)
    with pytest.raises(BadSetting, match="parfocal trust add") as refused:
        signature_policy(config)
    assert refused.value.field == "trusted_keys"
    with pytest.raises(BadSetting, match="cannot be read"):
        signature_policy(replace(config, trusted_keys=str(tmp_path / "nowhere")))
    (tmp_path / "bad").write_text("{}\n")
    with pytest.raises(BadSetting, match="line 1 is no trusted key"):
        signature_policy(replace(config, trusted_keys=str(tmp_path / "bad")))
