"""References: four spellings, one meaning each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry import AdapterName, Reference, RegistryError
from parfocal.registry.errors import InvalidDigest, InvalidName, InvalidReference
from parfocal.registry.values.names import check_alias

DIGEST = "sha256:" + "0123456789abcdef" * 4
NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True).map(AdapterName.parse)
ALIASES = (
    st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
    .filter(lambda word: word != "latest")
    .map(check_alias)
)
REFERENCES = st.one_of(
    st.builds(Reference, NAMES),
    st.builds(Reference, NAMES, version=st.integers(1, 10**18 - 1)),
    st.builds(Reference, NAMES, alias=ALIASES),
    st.builds(Reference, NAMES, digest=st.just(DIGEST)),
)


@given(REFERENCES)
def test_a_reference_reads_back_as_it_is_written(reference: Reference) -> None:
    assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize("text", ["team/x", "team/x@latest"])
def test_a_name_alone_means_the_latest_version(text: str) -> None:
    assert Reference.parse(text).is_latest


def test_each_spelling_has_its_meaning() -> None:
    assert Reference.parse("x@3").version == 3
    assert Reference.parse("x@prod").alias == "prod"
    assert Reference.parse(f"x@{DIGEST}").digest == DIGEST


@pytest.mark.parametrize(
    "text", ["", "x@", "x@0", "x@03", "x@-1", "x@a@b", "x@Prod", "x@ prod", "x@" + "9" * 19, "x@٣"]
)
def test_a_selector_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        Reference.parse(text)


@pytest.mark.parametrize(
    "digest", ["sha256:", "sha256:abc", DIGEST[:14], DIGEST.upper().replace("SHA256", "sha256"), DIGEST + "0"]
)
def test_too_few_or_too_many_digits_are_refused(digest: str) -> None:
    with pytest.raises(InvalidDigest):
        Reference.parse(f"x@{digest}")


def test_a_path_in_place_of_a_name_is_refused() -> None:
    with pytest.raises(InvalidName):
        Reference.parse("../../etc/passwd@1")


@given(st.text(max_size=120))
def test_any_text_is_either_a_reference_or_refused(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except RegistryError as error:
        assert error.status == "INVALID_ARGUMENT"
        return
    assert Reference.parse(str(reference)) == reference
