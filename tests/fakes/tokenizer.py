"""A tokenizer whose tokens are characters, and a chat template that wants turns to alternate."""

import itertools

import jinja2


class CharacterTokenizer:
    """Token id = code point. The part of a transformers tokenizer that serving uses."""

    def __init__(self, chat_template: str | None = "alternate") -> None:
        self.chat_template: object = chat_template

    def __call__(self, text: str, *, verbose: bool) -> dict[str, list[int]]:
        return {"input_ids": [ord(character) for character in text]}

    def apply_chat_template(
        self,
        conversation: list[dict[str, str]],
        *,
        add_generation_prompt: bool,
        sanitize_control_tokens: bool,
    ) -> dict[str, list[int]]:
        roles = [message["role"] for message in conversation]
        if any(a == b for a, b in itertools.pairwise(roles)):
            raise jinja2.TemplateError("roles must alternate")
        text = "".join(f"{message['role'][0]}:{message['content']}\n" for message in conversation)
        return self(text + ("a:" if add_generation_prompt else ""), verbose=False)

    def decode(self, token_ids: list[int], /) -> str:
        return "".join(map(chr, token_ids))
