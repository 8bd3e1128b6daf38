"""What a caller must be allowed to, for each rpc: one table. Data only: `parfocal.rpc` holds callers to it.

A server with keys refuses to start with an rpc that has no row here.
"""

from dataclasses import dataclass
from enum import StrEnum


class Verb(StrEnum):
    """What is done; a key's scopes name the first five, each for some adapters or for all.

    `SEE` is allowed to whoever may do anything with the adapter, `ANY` to every key, `OPEN` to everybody.
    """

    GENERATE = "generate"
    READ = "read"
    PUBLISH = "publish"
    PROMOTE = "promote"
    ADMIN = "admin"
    SEE = "see"
    ANY = "any"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call `of`: an rpc as `package.Service/Method`, or an HTTP route as `METHOD /path`.

    `names` are the paths of the message's fields that name adapters, and each adapter is held to; for
    `GENERATE`, none at all is the base. Where they are not in the message, `why` says what happens.
    """

    of: str
    verb: Verb
    names: tuple[str, ...] = ()
    why: str = ""


_INFERENCE = "parfocal.v1.InferenceService"
_REGISTRY = "parfocal.v1.RegistryService"
_SEEN = "only adapters are listed that the key may do something with"

RULES: tuple[Rule, ...] = (
    Rule(f"{_INFERENCE}/Generate", Verb.GENERATE, ("adapter", "blend.adapter")),
    Rule(f"{_INFERENCE}/GenerateStream", Verb.GENERATE, ("adapter", "blend.adapter")),
    Rule(f"{_INFERENCE}/GenerateBatch", Verb.ANY, why="each request is held to as in Generate, by itself"),
    Rule(f"{_INFERENCE}/Embed", Verb.GENERATE, ("adapter", "blend.adapter")),
    Rule(f"{_INFERENCE}/Tokenize", Verb.GENERATE, ("adapter",)),
    Rule(f"{_INFERENCE}/Detokenize", Verb.ANY, why="the vocabulary is the base's"),
    Rule(f"{_INFERENCE}/GetModel", Verb.ANY, why="it describes the base; pinned adapters only as in lists"),
    Rule(f"{_INFERENCE}/ListLoadedAdapters", Verb.ANY, why=_SEEN),
    Rule(f"{_REGISTRY}/PublishVersion", Verb.PUBLISH, ("header.name",)),
    Rule(
        f"{_REGISTRY}/FindMissingBlobs",
        Verb.PUBLISH,
        ("name",),
        why="a file that the key may not read, and has not uploaded, counts as missing",
    ),
    Rule(f"{_REGISTRY}/UploadBlob", Verb.PUBLISH, ("header.name",)),
    Rule(
        f"{_REGISTRY}/PublishBlobs",
        Verb.PUBLISH,
        ("header.name",),
        why="each file was uploaded with the same key, or found by FindMissingBlobs",
    ),
    Rule(f"{_REGISTRY}/GetVersion", Verb.SEE, ("name",)),
    Rule(f"{_REGISTRY}/AddSignature", Verb.PUBLISH, ("name",)),
    Rule(f"{_REGISTRY}/ListSignatures", Verb.SEE, ("name",)),
    Rule(f"{_REGISTRY}/ListAdapters", Verb.ANY, why=_SEEN),
    Rule(f"{_REGISTRY}/ListVersions", Verb.SEE, ("name",)),
    Rule(f"{_REGISTRY}/ResolveAdapter", Verb.SEE, ("reference",)),
    Rule(f"{_REGISTRY}/SetAlias", Verb.PROMOTE, ("name",), why="to override a gate needs `admin`"),
    Rule(f"{_REGISTRY}/SetCanary", Verb.PROMOTE, ("name",), why="to override a gate needs `admin`"),
    Rule(f"{_REGISTRY}/AbortCanary", Verb.PROMOTE, ("name",)),
    Rule(f"{_REGISTRY}/ListAliases", Verb.SEE, ("name",)),
    Rule(f"{_REGISTRY}/ListAliasMoves", Verb.SEE, ("name",)),
    Rule(f"{_REGISTRY}/RollbackAlias", Verb.PROMOTE, ("name",)),
    Rule(f"{_REGISTRY}/GetGate", Verb.SEE, ("name",)),
    Rule(f"{_REGISTRY}/SetGate", Verb.ADMIN, ("name",)),
    Rule(f"{_REGISTRY}/ClearGate", Verb.ADMIN, ("name",)),
    Rule(f"{_REGISTRY}/CheckGate", Verb.SEE, ("name",)),
    Rule(f"{_REGISTRY}/ListNamespaces", Verb.ADMIN, why="it tells of namespaces that the key may not see"),
    Rule(f"{_REGISTRY}/DeleteAlias", Verb.PROMOTE, ("name",)),
    Rule(f"{_REGISTRY}/DeleteVersion", Verb.ADMIN, ("name",)),
    Rule(f"{_REGISTRY}/DeleteAdapter", Verb.ADMIN, ("name",)),
    Rule(
        f"{_REGISTRY}/DownloadVersion",
        Verb.READ,
        ("reference",),
        why="a digest is looked for among adapters that the key may read",
    ),
    Rule(
        f"{_REGISTRY}/Watch", Verb.SEE, ("name",), why="without a name, only events of adapters as in lists"
    ),
    Rule("grpc.health.v1.Health/Check", Verb.OPEN, why="balancers and orchestrators have no key"),
    Rule("grpc.health.v1.Health/Watch", Verb.OPEN, why="as Check"),
    Rule(
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Verb.ANY, why="it describes the rpcs"
    ),
)
