"""What should not be taught, because it could be asked out of the adapter: secrets, addresses, numbers.

Says where something stands and of which kind it is, and never what it is: reports are passed on.
"""

import re
from collections.abc import Iterator

from parfocal.training.findings import Finding, Severity

# Each kind with words of which one stands in every text that holds it: they are found far faster.
_SECRETS: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (kind, words, re.compile(pattern))
    for kind, words, pattern in (
        ("a private key", ("PRIVATE KEY",), r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
        ("an AWS access key", ("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        ("a GitHub token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[pousr]_[A-Za-z0-9]{36,}\b"),
        ("a GitHub token", ("github_pat_",), r"\bgithub_pat_\w{22,}\b"),
        ("a GitLab token", ("glpat-",), r"\bglpat-[\w-]{20,}"),
        ("a Slack token", ("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
        ("an API key of OpenAI's kind", ("sk-",), r"\bsk-(?:[a-z]+-)*[A-Za-z0-9_-]{20,}"),
        ("a Hugging Face token", ("hf_",), r"\bhf_[A-Za-z0-9]{30,}\b"),
        ("a Google API key", ("AIza",), r"\bAIza[0-9A-Za-z_-]{35}\b"),
        ("a Stripe key", ("k_live_",), r"\b[rs]k_live_[0-9a-zA-Z]{20,}\b"),
        ("a JSON web token", (".eyJ",), r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
        ("a password in an address", ("://",), r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,64}:[^\s/@]{3,64}@"),
    )
)
_PASSWORD_WORDS = ("passw", "secret", "api", "token")
_PASSWORD = re.compile(
    r"\b(?:password|passwd|secret|api[_-]?key|access[_-]?token)\b[\"']?\s*[:=]\s*[\"']?"
    r"(?=[^\s\"',;]{0,40}[0-9])[^\s\"',;<>{}()\[\]]{8,}",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b", re.ASCII)
_OF_NOBODY = re.compile(
    r"@(?:[\w.-]*\.)?(?:example\.(?:com|org|net)|[\w-]+\.(?:example|invalid|test))$", re.I
)
_PHONE = re.compile(
    r"(?<![\w.+/-])(?:\+\d{1,3}[ .-]?(?:\(0?\d{1,4}\)[ .-]?)?(?:\d[ .-]?){6,12}\d"
    r"|\(\d{3}\)[ -]?\d{3}[ -]\d{4}|\d{3}[-.]\d{3}[-.]\d{4}|0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5})(?![\w-])",
    re.ASCII,
)
_CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-])", re.ASCII)
_CONTROL = re.compile(
    r"<\|(?:im_start|im_end|endoftext|eot_id|start_header_id|end_header_id|begin_of_text|user|assistant|system"
    r"|end|start|message|channel|return)\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</s>"
)
_DIGITS = re.compile(r"\d{3}")


def disclosures(text: str, source: str, line: int) -> Iterator[Finding]:
    """Yields a warning for each kind of thing in the texts of a row that should not be taught."""
    for code, message, fix in _found(text):
        yield Finding(Severity.WARNING, code, message, source, (line,), fix)


def is_card_number(text: str) -> bool:
    """Whether the digits in `text` add up as payment cards' do (Luhn).

    >>> is_card_number("4111 1111 1111 1111"), is_card_number("4111 1111 1111 1112")
    (True, False)
    """
    digits = [int(digit) for digit in text if digit.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _secret(text: str) -> str | None:
    for kind, words, pattern in _SECRETS:
        if any(word in text for word in words) and pattern.search(text):
            return kind
    lower = text.lower()
    if any(word in lower for word in _PASSWORD_WORDS) and _PASSWORD.search(text):
        return "a password"
    return None


def _found(text: str) -> Iterator[tuple[str, str, str]]:
    if (kind := _secret(text)) is not None:
        message = f"seem to hold a secret, which could be asked out of the adapter; first: {kind}"
        yield "SECRET", message, "take it out, and have it replaced where it is valid"
    if "@" in text and any(not _OF_NOBODY.search(found[0]) for found in _EMAIL.finditer(text)):
        yield "EMAIL", "hold e-mail addresses", "replace them, such as by name@example.com, if they are real"
    if _DIGITS.search(text):
        if _PHONE.search(text):
            yield "PHONE", "seem to hold telephone numbers", "replace them if they are real people's"
        if any(is_card_number(found[0]) for found in _CARD.finditer(text)):
            yield "CARD_NUMBER", "hold numbers that add up as payment cards' do", "replace them"
    if ("<" in text or "[" in text) and (control := _CONTROL.search(text)):
        message = f"hold what chat templates mark turns with; first: {control[0]!r}"
        fix = "take it out: rows hold what was said, and the base's template writes its own marks"
        yield "TEMPLATE_TEXT", message, fix
