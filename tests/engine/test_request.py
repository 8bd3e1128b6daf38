"""What identifies an adapter, and what does not."""

from parfocal.engine import AdapterKey, Request


def test_a_digest_is_an_adapters_only_identity() -> None:
    old, renamed = AdapterKey("sha256:1", "team/old", 1), AdapterKey("sha256:1", "team/new", 7)
    other = AdapterKey("sha256:2", "team/old", 1)

    assert old == renamed
    assert len({old, renamed, other}) == 2
    assert {old: "slot"}[renamed] == "slot"
    assert old != other


def test_two_requests_for_one_content_differ_in_nothing_but_their_id() -> None:
    requests = [Request("q", (1, 2), AdapterKey("sha256:1", name)) for name in ("team/old", "team/new")]

    assert requests[0] == requests[1]
    assert Request("r", (1, 2), AdapterKey("sha256:1")) != requests[0]
