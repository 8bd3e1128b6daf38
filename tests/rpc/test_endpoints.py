"""Where a server is and what to show it, as users write it and as files and variables hold it."""

from pathlib import Path

import pytest

from fakes.pki import DAY, Authority
from parfocal.rpc import AddressInvalid, Credentials, CredentialsInvalid, Endpoint, open_channel, read_api_key
from parfocal.rpc.credentials import read_pem

KEY = f"pf_0123abcd_{'5e' * 32}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.mark.parametrize(
    ("text", "address", "over_tls"),
    [
        ("127.0.0.1:50051", "127.0.0.1:50051", False),
        ("grpc://127.0.0.1:50051", "127.0.0.1:50051", False),
        ("grpcs://adapters.example.com:443", "adapters.example.com:443", True),
        ("unix:/run/p.sock", "unix:/run/p.sock", False),
    ],
)
def test_the_scheme_says_whether_it_is_tls(text: str, address: str, over_tls: bool) -> None:
    found = Endpoint.parse(text)

    assert (found.address, found.over_tls) == (address, over_tls)


def test_authorities_of_ones_own_mean_tls_where_no_scheme_says_otherwise() -> None:
    credentials = Credentials(tls_ca=Path("ca.pem"))

    assert Endpoint.parse("h:1", credentials).over_tls
    assert not Endpoint.parse("grpc://h:1", credentials).over_tls
    assert not Endpoint.parse("unix:/run/p.sock", credentials).over_tls


@pytest.mark.parametrize("text", ["http://h:1", "grpcs://", "grpcs://h", "https://h:443"])
def test_other_schemes_and_half_addresses_are_refused(text: str) -> None:
    with pytest.raises(AddressInvalid, match="not an address"):
        Endpoint.parse(text)


def test_the_environment_names_credentials(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")

    assert Credentials.found_in({"PARFOCAL_API_KEY": KEY, "PARFOCAL_TLS_CA": "/ca.pem"}) == Credentials(
        KEY, Path("/ca.pem")
    )
    assert Credentials.found_in({"PARFOCAL_API_KEY_FILE": str(tmp_path / "key")}).api_key == KEY
    assert Credentials.found_in({"PARFOCAL_API_KEY": "", "PARFOCAL_CLIENT_CERT": ""}) == Credentials()


def test_a_key_is_never_shown_by_what_holds_or_refuses_it(tmp_path: Path) -> None:
    (tmp_path / "two").write_text(f"{KEY} {KEY}")

    assert KEY not in repr(Endpoint.parse("h:1", Credentials(KEY)))
    with pytest.raises(CredentialsInvalid, match="single word") as odd:
        Credentials(f"{KEY}\r\nx-other: 1")
    with pytest.raises(CredentialsInvalid, match="one key, pf_…, and nothing else") as two:
        read_api_key(tmp_path / "two")
    assert KEY not in str(odd.value) + str(two.value)


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsInvalid, match="nowhere cannot be read: No such file"):
        read_api_key(tmp_path / "nowhere")


def test_a_certificate_and_its_key_come_together() -> None:
    with pytest.raises(CredentialsInvalid, match="needs its private key"):
        Credentials(tls_cert=Path("cert.pem"))


def test_files_that_cannot_be_used_are_named_with_the_reason(authority: Authority, tmp_path: Path) -> None:
    one, other = authority.issue("one"), authority.issue("other")
    old = authority.issue("old", ends=-DAY)
    early = authority.issue("early", ends=5 * DAY)
    (tmp_path / "no.pem").write_text("no certificate")

    def refusal(ca: Path | None = None, cert: Path | None = None, key: Path | None = None) -> str:
        with pytest.raises(CredentialsInvalid) as refused:
            read_pem(Credentials(None, ca, cert, key))
        return str(refused.value)

    assert "belongs to another certificate" in refusal(cert=one.cert, key=other.key)
    assert f"{old.cert} has expired; renew it" in refusal(cert=old.cert, key=old.key)
    assert "is not valid yet" in refusal(cert=early.cert, key=early.key)
    assert "no.pem cannot be used: there is no certificate" in refusal(ca=tmp_path / "no.pem")
    assert "gone.pem cannot be read: No such file" in refusal(ca=tmp_path / "gone.pem")
    assert read_pem(Credentials(tls_ca=authority.ca)).ca == authority.ca.read_bytes()


def test_a_channel_is_not_opened_with_files_that_cannot_be_used(tmp_path: Path) -> None:
    credentials = Credentials(tls_ca=tmp_path / "gone.pem")

    with pytest.raises(CredentialsInvalid, match=r"gone\.pem"):
        open_channel(Endpoint.parse("grpcs://h:1", credentials))
