"""What scopes allow, and what no scope is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.rpc.access import Need, Scope, ScopeInvalid, parse_scopes
from parfocal.v1.access import Verb

WORDS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True)
SCOPED = [Verb.GENERATE, Verb.READ, Verb.PUBLISH, Verb.PROMOTE, Verb.ADMIN]


@pytest.mark.parametrize(
    ("scope", "adapter", "allowed"),
    [
        ("generate", "", True),
        ("generate", "team/invoices@prod", True),
        ("generate:base", "", True),
        ("generate:base", "team/invoices", False),
        ("generate:base", "base", False),
        ("generate:team/*", "team/invoices@sha256:aa", True),
        ("generate:team/*", "team/a/b", False),
        ("generate:team/*", "teams/invoices", False),
        ("generate:team/*", "", False),
        ("generate:team/inv*", "team/invoices", True),
        ("generate:team/inv*", "team/support", False),
        ("generate:*/*", "other/x", True),
        ("generate:*/*", "", False),
        ("generate:invoices", "invoices@3", True),
        ("generate:default/*", "invoices", True),
        ("generate:invoices", "team/invoices", False),
        ("generate:a.c/*", "abc/x", False),
        ("read:team/*", "team/invoices", False),
        ("admin", "team/invoices", True),
        ("admin", "", True),
        ("admin:team/*", "team/invoices", True),
        ("admin:team/*", "", False),
    ],
)
def test_a_scope_allows_what_it_names(scope: str, adapter: str, allowed: bool) -> None:
    assert Scope.parse(scope).allows(Need(Verb.GENERATE, adapter)) is allowed


@pytest.mark.parametrize("granted", SCOPED)
@pytest.mark.parametrize("needed", SCOPED)
def test_a_verb_stands_for_itself_and_admin_for_all(granted: Verb, needed: Verb) -> None:
    allowed = Scope(granted, "team/*").allows(Need(needed, "team/invoices"))

    assert allowed is (granted in (needed, Verb.ADMIN))


@pytest.mark.parametrize("granted", SCOPED)
def test_whoever_may_do_anything_with_an_adapter_sees_it_and_no_other(granted: Verb) -> None:
    scope = Scope(granted, "team/*")

    assert scope.allows(Need(Verb.SEE, "team/invoices"))
    assert not scope.allows(Need(Verb.SEE, "other/invoices"))
    assert scope.allows(Need(Verb.ANY))


def test_what_names_no_adapter_needs_a_scope_for_all_of_them() -> None:
    assert Scope.parse("admin").allows(Need(Verb.ADMIN))
    assert not Scope.parse("admin:*/*").allows(Need(Verb.ADMIN))


@given(namespace=WORDS, name=WORDS, other=WORDS)
def test_a_namespace_never_opens_another(namespace: str, name: str, other: str) -> None:
    allowed = Scope.parse(f"generate:{namespace}/*").allows(Need(Verb.GENERATE, f"{other}/{name}"))

    assert allowed is (namespace == other)


@given(st.sampled_from(SCOPED), WORDS, WORDS)
def test_a_scope_reads_as_it_is_written(verb: Verb, namespace: str, name: str) -> None:
    for text in (verb, f"{verb}:{namespace}/*", f"{verb}:{namespace}/{name}"):
        assert str(Scope.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "Generate", "see", "open", "any", "read:base", "generate:", "generate:a/b/c", "read:Team/*", "all"],
)
def test_what_is_no_scope_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(ScopeInvalid, match=r"generate, read, publish, promote, admin.*generate:team/\*"):
        Scope.parse(text)


def test_a_key_has_each_of_its_scopes_once_and_at_least_one() -> None:
    assert parse_scopes(["read", "read", "generate"]) == (Scope(Verb.READ), Scope(Verb.GENERATE))
    with pytest.raises(ScopeInvalid, match="without a scope may do nothing"):
        parse_scopes([])


@pytest.mark.parametrize(
    ("need", "text"),
    [
        (Need(Verb.GENERATE, ""), "generate:base"),
        (Need(Verb.READ, "invoices@3"), "read:default/invoices"),
        (Need(Verb.ADMIN), "admin"),
    ],
)
def test_a_need_reads_as_a_narrow_scope_that_is_enough(need: Need, text: str) -> None:
    assert str(need) == text
    assert Scope.parse(text).allows(need)
