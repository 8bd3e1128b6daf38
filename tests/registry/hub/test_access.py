"""Keys and scopes on the Hub's routes: the table holds, and clients raise what they know."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from fakes.key_files import given_key
from fakes.registry.hub_server import Hub, hub
from parfocal.registry import FolderRegistry
from parfocal.registry.faces.hub import HUB_ROUTES
from parfocal.rpc import Guard
from parfocal.rpc.access import KeysInForce
from parfocal.v1.access import Rule, Verb

WEIGHTS = "adapter_model.safetensors"
GRANTED = [Verb.GENERATE, Verb.READ, Verb.PUBLISH, Verb.PROMOTE, Verb.ADMIN]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.jsonl"
    given_key(path, "admin", name="first")
    return path


@pytest.fixture
def guarded(
    registry: FolderRegistry, invoices: tuple[Path, Path], keys: Path, tmp_path: Path
) -> Iterator[Hub]:
    for verb in GRANTED:
        for namespace in ("team", "other"):
            given_key(keys, f"{verb}:{namespace}/*", name=f"{verb}-{namespace}")
    with hub(registry, tmp_path / "home", Guard(KeysInForce(keys))) as server:
        yield server


def _asked(rule: Rule, served: Hub, key: str | None) -> int:
    method, _, path = rule.of.partition(" ")
    places = {"{repo}": "team/invoices", "{revision}": "main", "{path}": "x", "{ref}": "y", "{ticket}": "0"}
    for place, value in places.items():
        path = path.replace(place, value)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    named = json.dumps({"organization": "team", "name": "invoices"}).encode()
    body = named if method in ("POST", "DELETE", "PUT") else None
    return served.ask(method, path, body, headers).status


@pytest.mark.parametrize("rule", HUB_ROUTES, ids=[rule.of for rule in HUB_ROUTES])
def test_strangers_reach_nothing_but_what_is_open(rule: Rule, guarded: Hub) -> None:
    statuses = {_asked(rule, guarded, key) for key in (None, "pf_0000_wrong", "hf_token")}

    assert (statuses == {401}) == (rule.verb is not Verb.OPEN)


def test_every_route_has_one_row_and_every_row_a_route(served: Hub) -> None:
    assert sorted(served.app.routes) == sorted(rule.of for rule in HUB_ROUTES)


NAMED = [rule for rule in HUB_ROUTES if rule.names]


def test_only_the_scope_of_the_row_opens_a_repository(
    registry: FolderRegistry, invoices: tuple[Path, Path], tmp_path: Path
) -> None:
    path = tmp_path / "keys.jsonl"
    scopes = [f"{verb}:{namespace}/*" for verb in GRANTED for namespace in ("team", "other")]
    texts = {scope: given_key(path, scope) for scope in scopes}
    with hub(registry, tmp_path / "home", Guard(KeysInForce(path))) as served:
        for rule in NAMED:
            wanted = set(GRANTED) if rule.verb is Verb.SEE else {rule.verb, Verb.ADMIN}
            for scope, key in texts.items():
                is_enough = scope.endswith(":team/*") and scope.partition(":")[0] in wanted
                assert (_asked(rule, served, key) != 403) == is_enough, (rule.of, scope)


def test_clients_say_what_is_wrong_with_a_key(
    registry: FolderRegistry, invoices: tuple[Path, Path], keys: Path, tmp_path: Path
) -> None:
    sees = given_key(keys, "generate:team/*", name="sees")
    reads = given_key(keys, "read:team/*", name="reads")
    with hub(registry, tmp_path / "home", Guard(KeysInForce(keys))) as served:
        cache = tmp_path / "cache"

        def client(token: str | bool) -> HfApi:
            return HfApi(endpoint=served.endpoint, token=token)

        with pytest.raises(RepositoryNotFoundError, match="wants an API key"):
            client(False).model_info("team/invoices")
        with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
            client("hf_wrong").model_info("team/invoices")
        with pytest.raises(GatedRepoError, match="needs read:team/invoices"):
            client(sees).hf_hub_download("team/invoices", WEIGHTS, cache_dir=cache)
        assert Path(client(reads).hf_hub_download("team/invoices", WEIGHTS, cache_dir=cache)).is_file()
        assert client(reads).whoami()["name"] == "reads"


def test_lists_tell_only_of_what_the_key_sees(
    registry: FolderRegistry, invoices: tuple[Path, Path], keys: Path, tmp_path: Path
) -> None:
    elsewhere = given_key(keys, "read:other/*", name="elsewhere")
    with hub(registry, tmp_path / "home", Guard(KeysInForce(keys))) as served:
        api = HfApi(endpoint=served.endpoint, token=elsewhere)

        assert list(api.list_models()) == []
        assert not api.repo_exists("team/invoices")
