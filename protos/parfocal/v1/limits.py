"""Every limit of the wire in one place, each with its reason. Numbers only: who reads a message holds them.

What lies at a limit is accepted, what lies above it is refused; the refusal names the limit. How many rpcs,
uploads and connections a server takes at a time is no limit of a message but a setting of `parfocal serve`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """The largest accepted number of `unit` in what `of` names, and why it is no larger."""

    of: str
    most: int
    unit: str
    reason: str


_KIB = 1 << 10
_MIB = 1 << 20

REQUEST_BYTES = Limit(
    "a message to the server",
    1 * _MIB + 64 * _KIB,
    "bytes",
    "it is decoded while others wait, at worst for 25 ms; prompts of 250,000 tokens fit, and pieces of files",
)
HEADER_BYTES = Limit(
    "the first message of a stream to the server",
    512 * _KIB,
    "bytes",
    "maps are decoded slowest; the header of a real upload has some KiB",
)
MESSAGE_PARTS = Limit(
    "messages inside a message to the server",
    1 << 15,
    "messages",
    "each is given memory while others wait; counted before any is, save maps and Structs",
)
REPLY_BYTES = Limit(
    "a message from the server",
    16 * _MIB,
    "bytes",
    "the version with the largest manifest fits",
)
FIRST_MESSAGE_S = Limit(
    "wait for an rpc's first message",
    30,
    "seconds",
    "a caller that opens rpcs and sends nothing must not keep them",
)
HANDSHAKE_S = Limit(
    "wait for a connection's first HTTP/2 frames",
    10,
    "seconds",
    "a connection that says nothing must not keep a descriptor",
)
HEAD_BYTES = Limit(
    "the head of a request over HTTP",
    32 * _KIB,
    "bytes",
    "it is parsed while others wait, at worst for 25 ms; keys, ids and what proxies add have some KiB",
)
BODY_CHUNKS = Limit(
    "chunks of a body over HTTP",
    2048,
    "chunks",
    "each is parsed while others wait, at worst all for 30 ms; most clients send a content-length and none",
)
SEND_S = Limit(
    "wait for an rpc's caller to take a message",
    300,
    "seconds",
    "a caller that reads nothing must not keep an rpc; the largest message arrives at 60 KB/s",
)
READ_S = Limit(
    "wait for an HTTP caller to read 16 KiB of an answer, or its rest",
    60,
    "seconds",
    "a caller that asks and reads nothing must not keep a place and memory",
)
PROBE_RPCS = Limit(
    "rpcs of health and reflection at a time",
    256,
    "rpcs",
    "balancers watch for ever; beside them a full server still answers probes",
)
REFERENCE_CHARACTERS = Limit(
    "an adapter reference",
    256,
    "characters",
    "namespace, name and digest have 199 together",
)
NAME_CHARACTERS = Limit(
    "a part of an adapter's name, or an alias",
    63,
    "characters",
    "a label of DNS, so that names can be host names, folders and labels of metrics",
)
ACTOR_CHARACTERS = Limit("actor", 256, "characters", "a mail address or the name of a machine fits")
PAGE_ITEMS = Limit(
    "page_size",
    1000,
    "items",
    "a page is built while others wait; larger sizes mean this one (AIP-158)",
)
PAGE_TOKEN_CHARACTERS = Limit("page_token", 1000, "characters", "the longest one that is given has half")
UPLOAD_FILES = Limit(
    "PublishHeader.files",
    11,
    "files",
    "an adapter is a configuration, weights and perhaps a chat template; the others are attached",
)
ATTACHMENTS = Limit("files attached to a version", 8, "files", "each is read whole when it is published")
ATTACHMENT_BYTES = Limit(
    "a file attached to a version",
    4 * _MIB,
    "bytes",
    "it is held whole in memory; a report with 60 answers side by side has 300 KiB",
)
PIECE_BYTES = Limit(
    "FileChunk.data",
    1 * _MIB,
    "bytes",
    "each is held whole in memory, once for every upload under way",
)
CONFIG_BYTES = Limit(
    "adapter_config.json",
    4 * _MIB,
    "bytes",
    "it is parsed whole; 20,000 modules may each have a rank and an alpha, others have a few KiB",
)
WEIGHTS_BYTES = Limit(
    "adapter_model.safetensors",
    16 << 30,
    "bytes",
    "rank 256 on every linear of a 70 B base has 13 GB in float32",
)
TEMPLATE_BYTES = Limit(
    "chat_template.jinja",
    256 * _KIB,
    "bytes",
    "to read as much takes 2 s when it is published; real ones have at most 60 KiB",
)
MANIFEST_BYTES = Limit(
    "a manifest",
    4 * _MIB,
    "bytes",
    "a message holds it twice, as fields and as JSON; 20,000 modules take 2 MiB",
)
MODULES = Limit(
    "modules of an adapter",
    20_000,
    "modules",
    "each is matched with every pattern; 48 layers of 128 experts with 3 projections are 18,432",
)
PROVENANCE_BYTES = Limit(
    "PublishHeader.provenance",
    64 * _KIB,
    "bytes",
    "as JSON; every reply with the version repeats it, and a run of `parfocal train` has 2 KiB",
)
METRICS = Limit(
    "Evaluation.metrics", 1000, "metrics", "every reply with the version repeats them; gates read a few"
)
TEXT_CHARACTERS = Limit(
    "a base's id, a revision, a tool's version, a metric's name",
    300,
    "characters",
    "they stand in tables and messages",
)
TAGS = Limit("PublishHeader.tags", 32, "tags", "every reply with the version repeats them")
ALIASES = Limit(
    "aliases of an adapter",
    1000,
    "aliases",
    "a list of adapters tells them all, a version those that point at it",
)
SIGNATURES = Limit(
    "signatures of a version",
    32,
    "signatures",
    "each is checked before the version is loaded; people, builds and auditors are few",
)
SIGNATURE_BYTES = Limit(
    "a signature's bundle",
    16 * _KIB,
    "bytes",
    "all of a version fit one reply; one over three files has 2 KiB",
)
PROMPT_TOKENS = Limit(
    "GenerateRequest.tokens.ids",
    1 << 18,
    "tokens",
    "no context on one device is longer; the base's own is checked next",
)
CHAT_MESSAGES = Limit(
    "Chat.messages", 4096, "messages", "they are read while others wait; contexts end long before"
)
VARIABLES_BYTES = Limit(
    "Chat.template_variables", 64 * _KIB, "bytes", "switches fit; they are read while others wait"
)
TOOL_CHARACTERS = Limit(
    "Chat.tools and the arguments of all tool_calls together",
    256 * _KIB,
    "characters",
    "they are parsed while others wait; hundreds of tools fit",
)
TOOL_CALLS = Limit(
    "Chat.tools and all tool_calls together", 1024, "tools and calls", "each is parsed while others wait"
)
STOP_STRINGS = Limit("Stop.strings", 16, "strings", "each is searched for in every piece of the answer")
STOP_STRING_BYTES = Limit(
    "one of Stop.strings", 256, "bytes", "as much of the answer is held back until it cannot be one"
)
STOP_TOKENS = Limit("Stop.token_ids", 1024, "tokens", "each is compared with every token of the answer")
TOP_LOGPROBS = Limit(
    "Options.top_logprobs", 20, "tokens", "each costs as much of a reply as the token that was drawn"
)
LOGIT_BIASES = Limit(
    "Sampling.logit_bias", 1024, "tokens", "each is checked, and added to the logits of every step"
)
PROMPT_LOGPROBS = Limit(
    "tokens of the prompt, times Options.prompt_logprobs and one",
    1 << 17,
    "log-probabilities",
    "they are written into one message, in which they take 4 MiB",
)
BLEND_PARTS = Limit(
    "GenerateRequest.blend", 8, "adapters", "all of them are fetched, and the sum of their ranks computed"
)
EMBED_INPUTS = Limit(
    "EmbedRequest.inputs", 256, "inputs", "each is a request of its own, in the queue and in the batch"
)
CHOICE_TEXTS = Limit(
    "OutputFormat.choice", 1 << 14, "texts", "no grammar that is accepted holds as many; each is copied"
)
CHOICES = Limit(
    "Options.choices", 32, "choices", "each is a request of its own, in the queue and in the batch"
)
BATCH_REQUESTS = Limit(
    "GenerateBatchRequest.requests",
    256,
    "requests",
    "they are read while others wait, and answered in one reply",
)
REQUEST_ID_CHARACTERS = Limit("request_id", 128, "characters", "it stands in the log and in every reply")
SPLIT_KEY_CHARACTERS = Limit("split_key", 256, "characters", "it is hashed; a user or a conversation")

LIMITS: tuple[Limit, ...] = (
    REQUEST_BYTES,
    HEADER_BYTES,
    MESSAGE_PARTS,
    REPLY_BYTES,
    FIRST_MESSAGE_S,
    HANDSHAKE_S,
    HEAD_BYTES,
    BODY_CHUNKS,
    SEND_S,
    READ_S,
    PROBE_RPCS,
    REFERENCE_CHARACTERS,
    NAME_CHARACTERS,
    ACTOR_CHARACTERS,
    PAGE_ITEMS,
    PAGE_TOKEN_CHARACTERS,
    UPLOAD_FILES,
    ATTACHMENTS,
    ATTACHMENT_BYTES,
    PIECE_BYTES,
    CONFIG_BYTES,
    WEIGHTS_BYTES,
    TEMPLATE_BYTES,
    MANIFEST_BYTES,
    MODULES,
    PROVENANCE_BYTES,
    METRICS,
    TEXT_CHARACTERS,
    TAGS,
    ALIASES,
    SIGNATURES,
    SIGNATURE_BYTES,
    PROMPT_TOKENS,
    CHAT_MESSAGES,
    VARIABLES_BYTES,
    TOOL_CHARACTERS,
    TOOL_CALLS,
    STOP_STRINGS,
    STOP_STRING_BYTES,
    STOP_TOKENS,
    TOP_LOGPROBS,
    LOGIT_BIASES,
    PROMPT_LOGPROBS,
    BLEND_PARTS,
    EMBED_INPUTS,
    CHOICE_TEXTS,
    CHOICES,
    BATCH_REQUESTS,
    REQUEST_ID_CHARACTERS,
    SPLIT_KEY_CHARACTERS,
)

# Of the registry's face over HTTP.
COMMIT_LINES = Limit(
    "lines of a commit over the Hub's protocol",
    20_000,
    "lines",
    "each is a file to be looked at; the Hub's own client sends at most 1000 at a time",
)
COMMIT_PATH_CHARACTERS = Limit(
    "a file's path over the Hub's protocol",
    1000,
    "characters",
    "it stands in messages; no file system has more",
)
COMMIT_LINE_BYTES = Limit(
    "a line of a commit over the Hub's protocol, the file in it apart",
    256 * _KIB,
    "bytes",
    "it is held in memory whole; a long description fits",
)
STAGED_HOURS = Limit(
    "wait of an upload over the Hub's protocol for its next commit",
    24,
    "hours",
    "what was left half done must not fill the disk; nobody resumes later than the next morning",
)

HUB_LIMITS: tuple[Limit, ...] = (COMMIT_LINES, COMMIT_PATH_CHARACTERS, COMMIT_LINE_BYTES, STAGED_HOURS)
