"""Keys over HTTP: the same keys, scopes and certificates as over gRPC, on every route of the table."""

import asyncio
import http.client
import json
import logging
import ssl
from pathlib import Path
from typing import Any

import pytest

from fakes.key_files import given_key, id_of
from fakes.pki import Authority
from fakes.rest import Reply, Rest, rest_serving
from parfocal.engine import AdapterKey
from parfocal.rpc import Guard, TlsFiles
from parfocal.rpc.access import KeysInForce, remove_key
from parfocal.server.faces.openai.access import ROUTES
from parfocal.v1.access import Rule, Verb

INVOICES = AdapterKey("sha256:" + "1" * 64, "team/invoices", 3)
OTHERS = {
    Verb.GENERATE: ["read:team/*", "publish:team/*", "promote:team/*", "generate:base", "admin:other/*"],
    Verb.SEE: ["admin:other/*", "generate:base"],
    Verb.ANY: [],
    Verb.OPEN: [],
}
RIGHT = {Verb.GENERATE: "generate:team/*", Verb.SEE: "read:team/*", Verb.ANY: "read:other/*"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.jsonl"


async def sent(rest: Rest, rule: Rule, key: str | None) -> Reply:
    """The reply to a request for team/invoices that is complete, whatever the route."""
    method, route = rule.of.split(" ")
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    if method == "GET":
        return await rest.get(route.replace("{model:path}", "team/invoices"), **headers)
    hello = [{"role": "user", "content": "Hi"}]
    body: dict[str, object] = {"model": "team/invoices", "prompt": "Hi", "messages": hello, "tokens": [1]}
    body["input"] = "Hi"
    wanted = {
        "/v1/chat/completions": ("model", "messages"),
        "/v1/embeddings": ("model", "input"),
        "/detokenize": ("model", "tokens"),
    }
    fields = wanted.get(route, ("model", "prompt"))
    return await rest.post(route, {name: body[name] for name in fields}, **headers)


def reason(reply: Reply) -> str:
    if reply.status in (200, 404) and b'"reason": "SCOPE' not in reply.body:
        return "let in"
    error: Any = reply.json()["error"]
    return f"{reply.status} {error['reason']}"


@pytest.mark.parametrize("rule", ROUTES, ids=[rule.of for rule in ROUTES])
def test_every_route_lets_in_whom_the_table_says_and_nobody_else(rule: Rule, path: Path) -> None:
    wrong = [given_key(path, scope) for scope in OTHERS[rule.verb]]
    right = given_key(path, RIGHT.get(rule.verb, "read"))

    async def scenario() -> tuple[list[str], list[str], str, int]:
        async with rest_serving(guard=Guard(KeysInForce(path))) as rest:
            rest.resolver.adapters["team/invoices"] = INVOICES
            strangers = [reason(await sent(rest, rule, key)) for key in (None, "sk-1", right[:-1] + "x")]
            refused = [reason(await sent(rest, rule, key)) for key in wrong]
            submitted = len(rest.engine.submitted)
            return strangers, refused, reason(await sent(rest, rule, right)), submitted

    strangers, refused, known, submitted = asyncio.run(scenario())

    unauthenticated = ["401 KEY_MISSING", "401 KEY_UNKNOWN", "401 KEY_UNKNOWN"]
    assert strangers == (["let in"] * 3 if rule.verb is Verb.OPEN else unauthenticated)
    assert refused == ["403 SCOPE_MISSING"] * len(wrong)
    assert (known, submitted) == ("let in", 0)


def test_the_base_takes_a_scope_of_its_own(path: Path) -> None:
    base, team = given_key(path, "generate:base"), given_key(path, "generate:team/*")

    async def scenario() -> list[int]:
        async with rest_serving(guard=Guard(KeysInForce(path))) as rest:
            body = {"model": "tiny", "prompt": "Hi"}
            replies = [
                await rest.post("/v1/completions", body, authorization=f"Bearer {key}")
                for key in (base, team)
            ]
            return [reply.status for reply in replies]

    assert asyncio.run(scenario()) == [200, 403]


def test_a_blend_takes_a_scope_for_each_of_its_adapters(path: Path) -> None:
    team = given_key(path, "generate:team/*")
    blends = [["team/invoices"], ["team/invoices", "other/secret"], []]

    async def scenario() -> list[int]:
        async with rest_serving(guard=Guard(KeysInForce(path))) as rest:
            rest.resolver.adapters |= {"team/invoices": INVOICES, "other/secret": INVOICES}
            statuses = []
            for names in blends:
                body = {"model": "tiny", "prompt": "Hi", "blend": [{"model": name} for name in names]}
                reply = await rest.post("/v1/completions", body, authorization=f"Bearer {team}")
                statuses.append(reply.status)
            return statuses

    assert asyncio.run(scenario()) == [200, 403, 403]


@pytest.mark.parametrize(
    ("scope", "listed"),
    [
        ("generate:team/*", ["team/invoices"]),
        ("read:team/*", ["team/invoices"]),
        ("generate:base", ["tiny"]),
        ("read", ["other/one", "other/two", "team/invoices"]),
        ("generate", ["tiny", "other/one", "other/two", "team/invoices"]),
    ],
)
def test_lists_have_what_the_key_may_do_something_with(path: Path, scope: str, listed: list[str]) -> None:
    key = given_key(path, scope)

    async def scenario() -> Any:
        async with rest_serving(guard=Guard(KeysInForce(path))) as rest:
            for name in ("other/one", "other/two", "team/invoices"):
                rest.adapters.add(name)
            return (await rest.get("/v1/models", authorization=f"Bearer {key}")).json()

    assert [each["id"] for each in asyncio.run(scenario())["data"]] == listed


def test_a_refusal_is_one_that_openais_clients_know(path: Path) -> None:
    given_key(path, "admin")

    async def scenario() -> Reply:
        async with rest_serving(guard=Guard(KeysInForce(path))) as rest:
            return await rest.get("/v1/models", authorization="Bearer sk-not-ours")

    refused = asyncio.run(scenario())

    error: Any = refused.json()["error"]
    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")


def test_an_unknown_path_says_nothing_to_strangers(path: Path) -> None:
    key = given_key(path, "read")

    async def scenario() -> list[int]:
        async with rest_serving(guard=Guard(KeysInForce(path))) as rest:
            return [
                (await rest.get("/v1/secrets")).status,
                (await rest.get("/v1/secrets", authorization=f"Bearer {key}")).status,
            ]

    assert asyncio.run(scenario()) == [401, 404]


def test_a_key_that_is_taken_away_ends_its_stream_with_an_event_that_says_so(path: Path) -> None:
    key = given_key(path, "generate")

    async def scenario() -> Reply:
        async with rest_serving(guard=Guard(KeysInForce(path))) as rest:
            rest.engine.gate.clear()
            body = {"model": "tiny", "prompt": "Hi", "stream": True}
            running = asyncio.ensure_future(rest.post("/v1/completions", body, authorization=f"Bearer {key}"))
            while not rest.engine.submitted:
                await asyncio.sleep(0.001)
            remove_key(path, id_of(key))
            reply = await running
            await rest.engine.submitted[0].cancelled.wait()
            return reply

    reply = asyncio.run(scenario())

    assert reply.status == 200 and b'"reason": "KEY_REVOKED"' in reply.body
    assert b"[DONE]" not in reply.body


def test_the_log_has_the_keys_id_and_never_the_key(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "parfocal")
    key = given_key(path, "generate")

    async def scenario() -> None:
        async with rest_serving(guard=Guard(KeysInForce(path))) as rest:
            body = {"model": "tiny", "prompt": "Hi there"}
            await rest.post("/v1/completions", body, authorization=f"Bearer {key}")
            await rest.post("/v1/completions", body, authorization=f"Bearer {key[:-4]}0000")

    asyncio.run(scenario())

    facts = [vars(record)["facts"] for record in caplog.records if record.name == "parfocal.access"]
    assert [each["key"] for each in facts] == [id_of(key)] * 2
    everything = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert key.split("_")[2][:32] not in everything and "Hi there" not in everything


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_plain_http_at_a_port_of_tls_is_told_to_use_https(tmp_path: Path, method: str) -> None:
    authority = Authority(tmp_path)
    served = authority.issue("served")

    def asked(port: int) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, "/v1/models", body=b"x" * 100_000 if method == "POST" else None)
        reply = connection.getresponse()
        found = reply.status, json.loads(reply.read())
        connection.close()
        return found

    async def scenario() -> tuple[int, Any]:
        async with rest_serving(guard=Guard(tls=TlsFiles(served.cert, served.key))) as rest:
            return await asyncio.to_thread(asked, rest.port)

    status, said = asyncio.run(scenario())

    assert (status, said["error"]["reason"]) == (400, "TLS_REQUIRED")
    assert "https://" in said["error"]["message"]


def test_who_speaks_neither_tls_nor_http_is_told_nothing(tmp_path: Path) -> None:
    served = Authority(tmp_path).issue("served")

    async def scenario() -> bytes:
        async with rest_serving(guard=Guard(tls=TlsFiles(served.cert, served.key))) as rest:
            reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
            writer.write(b"\0" * 64)
            try:
                return await reader.read()
            except ConnectionResetError:
                return b""
            finally:
                writer.close()

    assert b"HTTP" not in asyncio.run(scenario())


def test_https_is_served_from_the_same_files_and_takes_them_up_renewed(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    served = authority.issue("served", hosts=("elsewhere.example",))

    def asked(port: int) -> int | str:
        context = ssl.create_default_context(cafile=str(authority.ca))
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status
        except ssl.SSLCertVerificationError as error:
            return str(error.verify_message)
        finally:
            connection.close()

    async def scenario() -> list[int | str]:
        guard = Guard(tls=TlsFiles(served.cert, served.key))
        async with rest_serving(guard=guard) as rest:
            said = [await asyncio.to_thread(asked, rest.port)]
            renewed = authority.issue("renewed")
            renewed.cert.replace(served.cert)
            renewed.key.replace(served.key)
            while (now := await asyncio.to_thread(asked, rest.port)) != 200:
                await asyncio.sleep(0.1)
            return [*said, now]

    before, after = asyncio.run(scenario())

    assert "IP address mismatch" in str(before) and after == 200
