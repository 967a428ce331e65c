"""Hostile and huge text: right, or a typed error, in time that grows as the text does."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest

from syncagent import Agent
from syncagent.exceptions import UnexpectedModelBehavior
from syncagent.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from syncagent.models.groq import GroqModel
from syncagent.models.mistral import MistralModel
from syncagent.models.wire import ModelCall
from syncagent.providers.groq import GroqProvider
from syncagent.providers.mistral import MistralProvider
from syncagent.tools import ModelRequestParameters
from tests.faultserver import FaultServer, Peer, Request
from tests.faultserver.dialects import DIALECTS, OPENAI
from tests.scripted_model import Scripted, call, raw_call, said
from tests.trust.test_secrets import models

HARD = {
    "surrogate": "a\ud800b",
    "pair": "\ud83d\ude00",
    "NUL": "a\x00b",
    "control": "".join(map(chr, range(32))) + "\x7f\x85\x9f",
    "lines": "a\u2028b\u2029c\r\nd\re",
    "bidi": "\u202eabc\u2066d",
    "astral": "\U0001f600\U0010ffff",
    "combining": "e\u0301" * 9,
    "quotes": '"\\/</script>\'`${x}',
}
JOINED = {HARD["pair"]: "\U0001f600"}
"""What a text becomes on its way through JSON, which writes two surrogates and reads the character that they are."""
WIRES = {
    **models("https://api.example.com"),
    "mistral": lambda: MistralModel("m", provider=MistralProvider(api_key="k")),
    "groq": lambda: GroqModel("m", provider=GroqProvider(api_key="k")),
}


def conversation(text: str) -> list[ModelMessage]:
    """The text wherever one can stand."""
    return [
        ModelRequest([SystemPromptPart(text), UserPromptPart([text, text])]),
        ModelResponse([TextPart(text), ToolCallPart("tool", {"a": text, "b": [text]}, "call_1")]),
        ModelRequest([ToolReturnPart("tool", {"key": text, text: 1}, "call_1"), UserPromptPart(text)]),
    ]


@pytest.mark.parametrize("text", HARD.values(), ids=HARD.keys())
@pytest.mark.parametrize("wire", list(WIRES))
def test_every_wire_writes_json(wire: str, text: str) -> None:
    """The body is valid UTF-8 and JSON, and what can be told of the text is in it."""
    model = WIRES[wire]()
    parameters = ModelRequestParameters()
    wired = model.wire.encode(
        ModelCall("m", conversation(text), {}, parameters, model.profile, False, model.system, {})
    )
    body = json.loads(wired.body.decode("utf-8"))
    assert isinstance(body, dict)
    if text.isprintable():
        assert text in json.dumps(body, ensure_ascii=False).replace('\\"', '"').replace("\\\\", "\\")


@pytest.mark.parametrize("text", HARD.values(), ids=HARD.keys())
def test_histories_keep_it(text: str) -> None:
    """What is dumped loads as what it was, by way of bytes that are UTF-8."""
    dumped = ModelMessagesTypeAdapter.dump_json(conversation(text))
    dumped.decode("utf-8")
    loaded = ModelMessagesTypeAdapter.validate_json(dumped)
    assert loaded == ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(loaded))
    if text.isprintable():
        assert said(loaded[2])[1] == ("user-prompt", text)


@pytest.mark.parametrize("text", HARD.values(), ids=HARD.keys())
def test_a_whole_run_of_it(text: str) -> None:
    """Prompt, arguments, return, result: over a socket, and back."""
    turns = [
        OPENAI.calls(("call_1", "echo", json.dumps({"word": text}))),
        OPENAI.answer("".join(char for char in text if not "\ud800" <= char <= "\udfff") or "none"),
    ]

    def serve(peer: Peer, request: Request) -> None:
        json.loads(request.body.decode("utf-8"))
        peer.answer(turns[min(len(peer.server.requests), 2) - 1])

    def echo(word: str) -> str:
        return word

    with FaultServer(serve) as server:
        model: Any = OPENAI.model(server.origin, api_key="k")
        result = Agent(model, tools=[echo], system_prompt=text).run_sync(text)
        model.provider.transport.close()
    assert [content for _, content in said(result.all_messages()[2])] == [JOINED.get(text, text)]
    result.to_json().decode("utf-8")


@pytest.mark.stress
def test_a_prompt_of_ten_megabytes() -> None:
    """Sent once, with a peak of memory below five times its size; twice the size takes about twice the time."""
    took = []
    for size in (5_000_000, 10_000_000):
        with FaultServer(lambda peer, request: peer.answer(OPENAI.answer("Hey."))) as server:
            model: Any = OPENAI.model(server.origin, api_key="k")
            agent: Agent[None, str] = Agent(model)
            agent.run_sync("warm")
            prompt = "x\u00e9" * (size // 3)
            tracemalloc.start()
            began = time.process_time()
            assert agent.run_sync(prompt).data == "Hey."
            took.append(time.process_time() - began)
            peak = tracemalloc.get_traced_memory()[1] - 3 * size  # the server's copies are in this process too
            tracemalloc.stop()
            assert len(server.requests) == 2
            assert peak < 5 * size
            model.provider.transport.close()
    assert took[1] < 6 * max(took[0], 0.02)


@pytest.mark.stress
@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_a_history_of_ten_thousand_messages(dialect: str) -> None:
    """Written, dumped and loaded without recursion; the list that was given is not changed."""
    history: list[ModelMessage] = []
    for number in range(5000):
        history += [ModelRequest([UserPromptPart(f"question {number}")]), ModelResponse([TextPart(f"{number}")])]
    given = list(history)
    with FaultServer(lambda peer, request: peer.answer(DIALECTS[dialect].answer("Hey."))) as server:
        model: Any = DIALECTS[dialect].model(server.origin, api_key="k")
        result = Agent(model).run_sync("And now?", message_history=history)
        model.provider.transport.close()
    assert history == given
    assert len(result.all_messages()) == 10_002
    loaded = ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(result.all_messages()))
    assert loaded == result.all_messages()


def test_arguments_that_are_nested_too_deep() -> None:
    """A hundred thousand lists: the model is told, and the run fails with a typed error, no RecursionError."""

    def tool(value: Any) -> str:
        return "called"

    deep = '{"value": ' + "[" * 100_000 + "]" * 100_000 + "}"
    model = Scripted(raw_call("tool", deep))
    with pytest.raises(UnexpectedModelBehavior, match="max retries"):
        Agent(model, tools=[tool]).run_sync("Hi")


def test_returns_that_are_nested_too_deep() -> None:
    """What no JSON can be made of is an error that says so, of the program that returned it."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    model: Any = OPENAI.model("http://127.0.0.1:9", api_key="k")
    history: list[ModelMessage] = [
        ModelRequest([UserPromptPart("Hi")]),
        ModelResponse([call("tool", "call_1")]),
        ModelRequest([ToolReturnPart("tool", deep, "call_1")]),
    ]
    with pytest.raises(Exception) as caught:
        model.wire.encode(ModelCall("m", history, {}, ModelRequestParameters(), model.profile, False, "openai", {}))
    assert not isinstance(caught.value, RecursionError), "a typed error was expected"
    del history[2]
    while deep:  # taking it apart by itself would recurse
        deep = deep.pop()
