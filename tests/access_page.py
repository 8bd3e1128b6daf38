"""Writes `.github/ACCESS.md` from the tables of access: `python tests/access_page.py`."""

from collections.abc import Iterable
from pathlib import Path

from parfocal.registry.faces.hub import HUB_ROUTES
from parfocal.server.faces.openai.access import ROUTES
from parfocal.v1.access import RULES, Rule, Verb

PAGE = Path(__file__).resolve().parent.parent / ".github" / "ACCESS.md"

_HEAD = """# Who may do what

Written by `python tests/access_page.py` from `protos/parfocal/v1/access.py`,
`server/parfocal/server/faces/openai/access.py` and `registry/parfocal/registry/faces/hub/access.py`; a test
compares. Change those.

`parfocal serve` without `--keys FILE` asks nobody for a key, and listens on this machine only. With it,
every request shows a key, as `authorization: Bearer pf_…` in metadata or header, and does what its scopes
allow:

| scope | allows |
|---|---|
| `generate` | answers from the base and every adapter; `generate:base` those of the base alone |
| `read` | downloading adapters |
| `publish` | publishing versions |
| `promote` | moving, rolling back and deleting aliases, where their gates allow it |
| `admin` | all of these, setting, clearing and overriding gates, and deleting versions and adapters |

Each can be narrowed to adapters, as in `publish:team/*`; `*` stands for any characters but a slash. Whoever
may do anything with an adapter sees it: in lists, events and by name. Other adapters are not there for
them.

## Keys

`parfocal keys add NAME --scope SCOPE [--expires 90d]` prints a key once and adds its hash to a file, one
JSON object a line; `parfocal keys ls` and `rm` list and remove. A running server takes changes up within a
second: a key that is removed, has expired or may do less ends what it had begun, with `UNAUTHENTICATED`. A
line that is no key opens nothing, and a file that is gone, or that others than its owner may write, lets
nobody in. The log has a key's id, never the key.

Callers set `PARFOCAL_API_KEY`, or `PARFOCAL_API_KEY_FILE`; commands take `--api-key-file`, the Python
clients `credentials=`. Any gRPC client sends the metadata `authorization: Bearer pf_…`.

## TLS

`--tls-cert` and `--tls-key` serve every face over TLS; with `--tls-client-ca` callers need a certificate of
these authorities (mTLS). Renewed files are used from the next connection on; files that do not fit
together, as in the middle of a renewal, are logged and left. Callers write `grpcs://host:port`; `--tls-ca`
(`PARFOCAL_TLS_CA`) names authorities of your own, `--tls-cert` and `--tls-key` (`PARFOCAL_CLIENT_CERT`,
`PARFOCAL_CLIENT_KEY`) the caller's certificate. What `parfocal serve` shows to a registry behind `grpcs://`
is in the same variables.

## Metrics

The metrics page has an address of its own, `--metrics-address`, and asks for no key: it tells numbers, and
names of adapters as labels. It listens on this machine unless told otherwise; open it to monitoring only.
"""


_HUB = """## HTTP: the Hub's protocol

`parfocal registry serve --http-address` answers the Hub's clients, which send their token as a key
(`HF_TOKEN`, `hf auth login`). For them a repository is gated that the key sees and may not read.
"""


def page() -> str:
    """The page as the tables want it."""
    return "\n".join(
        [
            _HEAD,
            "## gRPC",
            "",
            *_table("rpc", RULES),
            "",
            "## HTTP",
            "",
            *_table("route", ROUTES),
            "",
            _HUB,
            *_table("route", HUB_ROUTES),
            "",
        ]
    )


def _table(what: str, rules: Iterable[Rule]) -> list[str]:
    rows = [f"| `{rule.of}` | {_needed(rule)} | {rule.why} |" for rule in rules]
    return [f"| {what} | needs | |", "|---|---|---|", *rows]


def _needed(rule: Rule) -> str:
    words = {Verb.OPEN: "nothing", Verb.ANY: "any key", Verb.SEE: "any scope"}
    verb = words.get(rule.verb, f"`{rule.verb}`")
    return f"{verb} for {' and '.join(f'`{name}`' for name in rule.names)}" if rule.names else verb


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
