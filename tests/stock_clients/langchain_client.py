"""LangChain's OpenAI chat model, as it is: python langchain_client.py http://127.0.0.1:8000 MODEL ADAPTER."""

import asyncio
import sys
from importlib.metadata import version
from typing import Any, Literal

from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field


class Ticket(BaseModel):
    """A ticket of a support desk."""

    urgent: bool = Field(description="whether it cannot wait")
    topic: str = Field(description="what it is about", max_length=20)


def weather(city: Literal["Bonn", "Ulm"]) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def check(url: str, model: str, adapter: str) -> None:
    """Asks, streams, calls tools and parses."""
    settings: dict[str, Any] = {"base_url": f"{url}/v1", "api_key": "none", "max_retries": 0}
    chat = ChatOpenAI(model=model, max_tokens=8, temperature=0, **settings)
    assert chat.invoke("Dear support, my parcel is late.").content
    assert (
        "".join(str(each.content) for each in chat.stream("Dear support"))
        == chat.invoke("Dear support").content
    )
    assert len(chat.batch(["Hello", "Dear support"])) == 2
    assert asyncio.run(chat.ainvoke("Hello")).usage_metadata["output_tokens"] > 0
    assert ChatOpenAI(model=adapter, max_tokens=8, **settings).invoke("Hello").content

    long = ChatOpenAI(model=model, max_tokens=200, temperature=0, **settings)
    for choice in ("any", "weather"):
        called = long.bind_tools([weather], tool_choice=choice, parallel_tool_calls=False).invoke("Ulm?")
        assert [each["name"] for each in called.tool_calls] == ["weather"], called
    gathered: Any = None
    for piece in long.bind_tools([weather], tool_choice="any").stream("Ulm?"):
        gathered = piece if gathered is None else gathered + piece
    assert gathered.tool_calls[0]["name"] == "weather", gathered
    for method in ("json_schema", "function_calling"):
        assert isinstance(long.with_structured_output(Ticket, method=method).invoke("It burns!"), Ticket)

    vectors = OpenAIEmbeddings(model=model, check_embedding_ctx_length=False, **settings)
    assert len(vectors.embed_documents(["Hello", "Dear support"])) == 2


if __name__ == "__main__":
    check(*sys.argv[1:])
    print(f"langchain-openai {version('langchain-openai')}: every call was answered")
