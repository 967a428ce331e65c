"""Texts to vectors: what is asked of each provider, and how its answers are read."""

from __future__ import annotations

import base64
import json
import struct
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncagent.deadline import Deadline
from syncagent.embed import EmbeddingResult, VoyageAIProvider, embed
from syncagent.exceptions import (
    MissingKeyError,
    ModelAPIError,
    ModelNotFoundError,
    ModelResponseError,
    RunCancelled,
    UserError,
)
from syncagent.models import override_allow_model_requests
from syncagent.providers.base import Provider, infer_provider
from syncagent.providers.bedrock import BedrockProvider
from syncagent.providers.google_vertex import GoogleVertexProvider
from syncagent.providers.openai import OpenAIProvider
from syncagent.transport import RetryPolicy
from syncagent.usage import Usage
from tests.conformance import load
from tests.faultserver import FaultServer, Peer, Request, Scenario
from tests.faultserver.scenarios import in_turn, say
from tests.shared_folder import shared_files

_NEVER = RetryPolicy(max_retries=0)


def _packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def _say(body: Any, *lines: str) -> Scenario:
    return say("200 OK", json.dumps(body).encode(), *lines)


def _openai(peer: Peer, request: Request) -> None:
    """A vector for each text: its length; the last first, as the API may order them."""
    asked = json.loads(request.body)
    data = [{"index": i, "embedding": [len(text), 0.5]} for i, text in enumerate(asked["input"])]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    peer.answer(json.dumps({"data": data[::-1], "model": asked["model"] + "-1", "usage": usage}).encode())


def _provider(name: str, url: str) -> Provider:
    if name == "voyageai":
        return VoyageAIProvider(url, "k")
    if name == "google-vertex":
        return GoogleVertexProvider(base_url=url, api_key="k")
    return type(infer_provider(name))(url, "k")


def _embed(server: FaultServer, name: str, texts: Any = ("a", "b"), **kwargs: Any) -> EmbeddingResult:
    prefix, _, model = name.partition(":")
    return embed(texts, model, provider=_provider(prefix, server.origin), retry_policy=_NEVER, **kwargs)


# --- recorded exchanges --------------------------------------------------------------------------------

_PREFIX = {"google": "google-gla"}
_RECORDED = [
    path
    for pattern in ("[!e]*/*-embeddings-*.json", "[!e]*/*mbedContent*.json")
    for path in shared_files("conformance", pattern)
]


def _model_of(exchange: dict[str, Any]) -> str:
    path, request = exchange["path"], exchange["request"]
    return path.rpartition("/")[2].partition(":")[0] if ":" in path else request["model"]


@pytest.mark.parametrize("path", _RECORDED)
def test_recorded_exchanges(path: Path) -> None:
    """Vectors, tokens and the model's name are read as the provider's own client reads them; errors are typed."""
    exchange, expected = load(path)
    request, recorded = exchange["request"], exchange["response"]
    texts = request.get("input") or request.get("texts") or ["Hello, world!"]
    answer = say(f"{recorded['status']} X", json.dumps(recorded["body"]).encode())
    with FaultServer(answer) as server:
        name = f"{_PREFIX.get(exchange['provider'], exchange['provider'])}:{_model_of(exchange)}"
        if expected["kind"] == "error":
            with pytest.raises(ModelNotFoundError) as caught:
                _embed(server, name, texts, input_type="query")
            assert expected["message"] in str(caught.value) + str(caught.value.body)
        else:
            result = _embed(server, name, texts)
            assert len(result.vectors) == expected["vectors"]
            assert {len(vector) for vector in result.vectors} == {expected["dimensions"]}
            assert [vector[:3] for vector in result.vectors] == expected["first_values"]
            counted = expected["input_tokens"]
            if counted is None:  # Google's number has another name; the reading there is a plain one
                counted = expected["usage_raw"]["promptTokenCount"]
            assert result.usage == Usage(1, counted, None, counted)
            assert result.model_name == (expected["model"] or _model_of(exchange))
    (sent,) = server.bodies
    if exchange["provider"] not in ("google-vertex",):
        recorded_request = {key: value for key, value in request.items() if value is not None}
        for left_out in ("input_type",):
            if left_out not in sent:
                recorded_request.pop(left_out, None)
        assert sent == recorded_request
    assert server.requests[0].path.rpartition("/")[2] == exchange["path"].rpartition("/")[2]


# --- what is sent ----------------------------------------------------------------------------------------

_V2 = [[1.0, 2.0], [3.0, 4.0]]
_CASES: list[tuple[str, Any, str, Any, Optional[int]]] = [
    (
        "openai:m",
        {"data": [{"embedding": _packed(1, 2)}, {"embedding": _packed(3, 4)}], "usage": {"prompt_tokens": 5}},
        "/embeddings",
        {"model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 2},
        5,
    ),
    (
        "mistral:m",
        {"data": [{"embedding": [1, 2]}, {"embedding": [3, 4]}]},
        "/embeddings",
        {"model": "m", "input": ["a", "b"], "output_dimension": 2},
        None,
    ),
    (
        "cerebras:m",
        {"data": [{"embedding": [1, 2]}, {"embedding": [3, 4]}], "usage": {"total_tokens": 6.0}},
        "/v1/embeddings",
        {"model": "m", "input": ["a", "b"], "dimensions": 2},
        6,
    ),
    (
        "voyageai:m",
        {"data": [{"embedding": _packed(1, 2)}, {"embedding": _packed(3, 4)}], "usage": {"total_tokens": 7}},
        "/embeddings",
        {
            "model": "m",
            "input": ["a", "b"],
            "encoding_format": "base64",
            "truncation": False,
            "input_type": "query",
            "output_dimension": 2,
        },
        7,
    ),
    (
        "google-gla:m",
        {"embeddings": [{"values": [1, 2]}, {"values": [3, 4]}], "usageMetadata": {"promptTokenCount": 8}},
        "/models/m:batchEmbedContents",
        {
            "requests": [
                {
                    "model": "models/m",
                    "content": {"parts": [{"text": text}]},
                    "taskType": "RETRIEVAL_QUERY",
                    "outputDimensionality": 2,
                }
                for text in "ab"
            ]
        },
        8,
    ),
    (
        "cohere:m",
        {"embeddings": {"float": [[1, 2], [3, 4]]}, "meta": {"billed_units": {"input_tokens": 9}}},
        "/v2/embed",
        {
            "model": "m",
            "texts": ["a", "b"],
            "input_type": "search_query",
            "embedding_types": ["float"],
            "truncate": "NONE",
            "output_dimension": 2,
        },
        9,
    ),
]


@pytest.mark.parametrize(("name", "answer", "path", "body", "tokens"), _CASES, ids=[case[0] for case in _CASES])
def test_each_api(name: str, answer: Any, path: str, body: Any, tokens: Optional[int]) -> None:
    """Every option has its name in the provider's words, and every answer gives the same vectors."""
    with FaultServer(_say(answer)) as server:
        result = _embed(server, name, dimensions=2, input_type="query")
    assert result.vectors == _V2
    assert result.usage == Usage(1, tokens, None, tokens)
    assert (result.model_name, result.provider_name) == ("m", name.partition(":")[0])
    assert server.requests[0].path == path
    assert server.bodies == [body]


def _in_turn(*bodies: Any) -> Scenario:
    return in_turn(*[_say(body, "x-amzn-bedrock-input-token-count: 4") for body in bodies])


def test_vertex() -> None:
    """Its newer models have one method, its older ones another; both take one text a request here."""
    values = [{"values": [1, 2]}, {"values": [3, 4]}]
    with FaultServer(_in_turn(*[{"embedding": each} for each in values])) as server:
        result = _embed(server, "google-vertex:gemini-embedding-2", input_type="document")
        assert result.vectors == _V2 and result.usage.requests == 2
        assert server.requests[0].path.endswith("/publishers/google/models/gemini-embedding-2:embedContent")
        assert server.bodies[1] == {"content": {"parts": [{"text": "b"}]}, "taskType": "RETRIEVAL_DOCUMENT"}
    counted = [{"predictions": [{"embeddings": {**each, "statistics": {"token_count": 2}}}]} for each in values]
    with FaultServer(_in_turn(*counted)) as server:
        result = _embed(server, "google-vertex:text-embedding-005", input_type="SEMANTIC_SIMILARITY", dimensions=2)
        assert result.vectors == _V2 and result.usage == Usage(2, 4, None, 4)
        assert server.requests[0].path.endswith("/publishers/google/models/text-embedding-005:predict")
        assert server.bodies[0] == {
            "instances": [{"content": "a", "task_type": "SEMANTIC_SIMILARITY"}],
            "parameters": {"outputDimensionality": 2},
        }
        assert _embed(server, "google-vertex:publishers/google/models/x", "a").usage.request_tokens == 2
        assert "parameters" not in server.bodies[-1]


def test_bedrock() -> None:
    """The models of Titan and Cohere, each by its own body; ids are one step of the path."""
    with FaultServer(_in_turn(*[{"embedding": vector, "inputTextTokenCount": 3} for vector in _V2])) as server:
        provider = BedrockProvider(base_url=server.origin, api_key="k")
        result = embed(["a", "b"], "amazon.titan-embed-text-v2:0", provider=provider, dimensions=2)
        assert result.vectors == _V2 and result.usage == Usage(2, 6, None, 6)
        assert server.requests[0].path == "/model/amazon.titan-embed-text-v2%3A0/invoke"
        assert server.bodies[0] == {"inputText": "a", "dimensions": 2}
    with FaultServer(_in_turn({"embeddings": {"float": _V2}})) as server:
        provider = BedrockProvider(base_url=server.origin, api_key="k")
        result = embed(["a", "b"], "bedrock:cohere.embed-v4:0", provider=provider, input_type="clustering")
        assert result.vectors == _V2 and result.usage == Usage(1, 4, None, 4)
        assert "model" not in server.bodies[0] and server.bodies[0]["input_type"] == "clustering"
    with pytest.raises(UserError, match="those of Titan and Cohere"):
        embed("a", "amazon.nova-x", provider=BedrockProvider(base_url="http://x", api_key="k"))


def test_packed_vectors_on_a_big_endian_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed vectors are little endian everywhere: such a machine swaps their bytes."""
    swapped = base64.b64encode(struct.pack(">2f" if sys.byteorder == "little" else "<2f", 1.0, 2.0)).decode()
    monkeypatch.setattr(sys, "byteorder", "big" if sys.byteorder == "little" else "little")
    with FaultServer(_say({"data": [{"embedding": swapped}]})) as server:
        assert _embed(server, "openai:m", "a").vectors == [[1.0, 2.0]]


def test_cohere_is_always_told_a_type() -> None:
    """Its newer models refuse requests without one."""
    with FaultServer(_say({"embeddings": {"float": _V2}})) as server:
        assert _embed(server, "cohere:m").usage.request_tokens is None
        assert server.bodies[0]["input_type"] == "search_document"


# --- many texts --------------------------------------------------------------------------------------------


def test_many_texts_go_in_several_requests() -> None:
    """In order, by the number of texts and by their size; tokens and requests are summed."""
    texts = ["x" * (index % 7) for index in range(2048 + 5)]
    with FaultServer(_openai) as server:
        result = _embed(server, "openai:m", texts)
        assert [vector[0] for vector in result.vectors] == [len(text) for text in texts]
        assert [len(body["input"]) for body in server.bodies] == [2048, 5]
        assert result.usage == Usage(2, 6, None, 6) and result.model_name == "m-1"
    with FaultServer(_openai) as server:
        long = "\u00e9" * 200_000
        result = _embed(server, "openai:m", [long, long * 2, "a", "b", long])
        assert [len(body["input"]) for body in server.bodies] == [1, 1, 3]
    assert "vectors=<5 vectors>" in repr(result)


def test_one_text_and_none() -> None:
    """One text gives one vector; no text no request."""
    with FaultServer(_openai) as server:
        assert _embed(server, "openai:m", "four").vectors == [[4.0, 0.5]]
        assert _embed(server, "openai:m", []).vectors == [] and len(server.requests) == 1
        assert _embed(server, "openai:m", []).usage == Usage()


def test_a_failing_request_is_sent_again() -> None:
    """The transport's policy holds for each request of the series."""
    with FaultServer(in_turn(say("503 Busy", b"{}", "Retry-After: 0"), _openai)) as server:
        result = embed(["a"], "m", provider=OpenAIProvider(server.origin, "k"), extra_body={"user": "u"})
        assert result.vectors == [[1.0, 0.5]] and server.bodies[1]["user"] == "u"
        stopped = Deadline()
        stopped.cancel()
        with pytest.raises(RunCancelled):
            _embed(server, "openai:m", deadline=stopped)


def test_the_cost() -> None:
    """Vectors have prices too."""
    result = EmbeddingResult([], Usage(1, 1_000_000, None, 1_000_000), "text-embedding-3-small", "openai")
    assert result.cost() == Decimal("0.02")
    assert result.cost({"openai:*": {"input": 1}}) == 1


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "model", "kwargs", "words"),
    [
        (["a", 1], "openai:m", {}, r"texts\[1\] is not a text but int"),
        ("a", 3, {}, "A model is a name"),
        ("a", "m", {}, "A model is named provider:model"),
        ("a", "nope:m", {}, "Unknown provider"),
        ("a", "openai:", {}, "names a provider, but no model"),
        ("a", "openai:m", {"dimensions": 0}, "dimensions is a whole number"),
        ("a", "openai:m", {"dimensions": True}, "dimensions is a whole number"),
        ("a", "anthropic:m", {}, "'anthropic' has no API for vectors"),
        ("a", "local:m", {}, "'local' has no API for vectors"),
    ],
)
def test_arguments_that_cannot_be_used(texts: Any, model: Any, kwargs: Any, words: str) -> None:
    """Nothing is sent; the error says what to write."""
    with pytest.raises(UserError, match=words):
        embed(texts, model, **kwargs)


@pytest.mark.parametrize("model", ["../x", "a//b"])
def test_names_that_would_change_the_path(model: str) -> None:
    """A model's name stays inside its place in the address."""
    with FaultServer(_openai) as server, pytest.raises(UserError, match="no empty steps"):
        _embed(server, f"google-gla:{model}")


def test_keys_and_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Voyage's key has its variable, and where requests are forbidden none is sent."""
    with pytest.raises(MissingKeyError, match="VOYAGE_API_KEY"):
        embed("a", "voyageai:m")
    with override_allow_model_requests(False), pytest.raises(RuntimeError, match="not allowed"):
        embed("a", "voyageai:m")


_GOOD: dict[str, Any] = {
    "openai:m": {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [2.0]}], "usage": {}},
    "google-gla:m": {"embeddings": [{"values": [1.0]}, {"values": [2.0]}]},
    "cohere:m": {"embeddings": {"float": [[1.0], [2.0]]}},
}


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("openai:m", {"data": [{"embedding": [1]}]}, "expected 2 vectors, got 1"),
        ("openai:m", {"data": [1, 2]}, r"data\[0\]: expected an object, got int"),
        ("openai:m", {"data": [{"index": 0, "embedding": [1]}] * 2}, r"data\[1\]\.index: expected a place"),
        ("openai:m", {"data": [{"index": 9, "embedding": [1]}] * 2}, r"data\[0\]\.index"),
        ("openai:m", {"data": {}}, "data: expected a list, got dict"),
        ("openai:m", [], "data: expected a list, got list"),
        ("openai:m", {"data": [{"embedding": "*"}]}, "expected a vector, got a text"),
        ("openai:m", {"data": [{"embedding": "AAAA"}]}, "expected a vector, got a text"),
        ("openai:m", {"data": [{"embedding": _packed(float("inf"))}]}, "expected numbers, got inf"),
        ("openai:m", {"data": [{"embedding": []}]}, "expected a vector, got list"),
        ("openai:m", {"data": [{"embedding": [True]}]}, "expected numbers, got True"),
        ("google-gla:m", {"embeddings": [{}, {}]}, r"embeddings\[0\]\.values: expected a list, got NoneType"),
        ("cohere:m", {"embeddings": [[1]]}, "embeddings: expected an object, got list"),
    ],
)
def test_answers_of_another_shape(name: str, body: Any, words: str) -> None:
    """A body that is not the API's is a typed error that names the place, never a shorter list."""
    with FaultServer(_say(body)) as server, pytest.raises(ModelResponseError, match=words):
        _embed(server, name)


@pytest.fixture(scope="module")
def changing() -> Iterator[Callable[[str, Any], EmbeddingResult]]:
    """Asks a server that answers with what it is told."""
    bodies: list[bytes] = []
    with FaultServer(lambda peer, request: peer.answer(bodies.pop())) as server:
        providers = {name: _provider(name.partition(":")[0], server.origin) for name in _GOOD}

        def ask(name: str, body: Any) -> EmbeddingResult:
            bodies.append(json.dumps(body).encode())
            return embed(["a", "b"], "m", provider=providers[name], retry_policy=_NEVER)

        yield ask
        for provider in providers.values():
            provider.transport.close()


@given(name=st.sampled_from(sorted(_GOOD)), data=st.data())
def test_mutated_answers(changing: Any, name: str, data: st.DataObject) -> None:
    """Whatever a body holds, there are two vectors of numbers, or a typed error."""
    body = json.loads(json.dumps(_GOOD[name]))
    value: Any = body
    while isinstance(value, (dict, list)) and value:
        key = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else list(range(len(value)))))
        if not isinstance(value[key], (dict, list)) or data.draw(st.booleans()):
            junk = st.sampled_from([None, 1, "x", [], {}, [[1]], -1, True, "AACAPw=="])
            value[key] = data.draw(junk)
            break
        value = value[key]
    try:
        result = changing(name, body)
    except ModelAPIError:
        return
    assert len(result.vectors) == 2 and all(type(n) is float for vector in result.vectors for n in vector)
