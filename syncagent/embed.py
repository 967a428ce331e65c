"""
Texts to vectors, without an agent.

One function for the providers whose API turns texts into vectors; each API is a pair of pure functions, one that
writes a request and one that reads its answer.
"""

from __future__ import annotations

import base64
import binascii
import logging
import math
import sys
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union
from urllib.parse import quote, urlencode

import attrs

from .deadline import Deadline, resolve_deadline
from .exceptions import AgentRunError, ModelResponseError, UserError
from .jsonable import dump_bytes
from .providers.base import Provider, infer_provider
from .providers.table import ProviderRow
from .usage import Usage

if TYPE_CHECKING:
    from .prices import PriceSource
    from .transport import HttpResponse, RetryPolicy

__all__ = ["EmbeddingResult", "VoyageAIProvider", "embed"]

_log = logging.getLogger("syncagent.embed")


class VoyageAIProvider(Provider):
    """Where Voyage AI's API is and how to log in; it has vectors only."""

    # https://docs.voyageai.com/reference/embeddings-api
    row = ProviderRow(
        "voyageai",
        "VoyageAI",
        wire="voyageai",
        base_url="https://api.voyageai.com/v1",
        base_url_variable="VOYAGE_BASE_URL",
        key_variable="VOYAGE_API_KEY",
    )


@attrs.frozen
class EmbeddingResult:
    """
    Vectors, and what they took.

    Args:
        vectors: one list of numbers for each text, in the order of the texts.
        usage: requests and tokens, of all requests together.
        model_name: as the provider says it, else as it was asked for.
        provider_name: who answered.
    """

    vectors: list[list[float]] = attrs.field(repr=lambda vectors: f"<{len(vectors)} vectors>")
    usage: Usage
    model_name: str
    provider_name: str

    def cost(self, prices: Optional[PriceSource] = None) -> Optional[Decimal]:
        """US dollars, as :meth:`syncagent.messages.ModelResponse.cost`; None where no price is known."""
        from .prices import PriceTable, cost_of

        return cost_of(self.usage, self.model_name, self.provider_name, prices=PriceTable.of(prices))


def embed(
    texts: Union[str, Sequence[str]],
    model: str,
    *,
    dimensions: Optional[int] = None,
    input_type: Optional[str] = None,
    deadline: Union[float, Deadline, None] = None,
    provider: Optional[Provider] = None,
    timeout: Union[float, tuple[float, float], None] = None,
    retry_policy: Optional[RetryPolicy] = None,
    extra_body: Optional[Mapping[str, Any]] = None,
) -> EmbeddingResult:
    """
    Turn texts into vectors, in as many requests as the provider's limits ask for, one after the other.

    Args:
        texts: one text, or many; there is one vector for each.
        model: ``provider:model``, such as ``openai:text-embedding-3-small``, ``google-gla:gemini-embedding-001``,
            ``cohere:embed-v4.0``, ``bedrock:amazon.titan-embed-text-v2:0`` or ``voyageai:voyage-3.5``.
        dimensions: numbers in each vector, where the model lets one choose.
        input_type: ``query`` or ``document``, or a word of the provider's own; providers that make no difference
            are not told.
        deadline: seconds for all requests together, or a :class:`~syncagent.deadline.Deadline`.
        provider: where it is and how to log in, where the environment does not say it; *model* may then be the
            model's name alone.
        timeout: seconds for each socket operation, or a pair (connect, read).
        retry_policy: how failed tries are repeated.
        extra_body: further keys of the request's body, in the provider's words.

    Raises:
        UserError: an argument cannot be used, or the provider has no vectors.
        ModelAPIError: the provider did not answer, or what came cannot be read.
        DeadlineExceeded, RunCancelled: the time is over, or somebody stopped it.
    """
    from .models import check_allow_model_requests
    from .transport import HttpRequest

    check_allow_model_requests()
    asked = _checked_texts(texts)
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        raise UserError(f"dimensions is a whole number from 1 on; got {dimensions!r}.")
    source, name = _provider_of(model, provider)
    api = _api_of(source, name)
    limit = resolve_deadline(deadline)
    vectors: list[list[float]] = []
    usage = Usage()
    answered = name
    for chunk in _chunks(asked, api.most_texts, api.most_bytes):
        source.check_policy()
        target = source.target(name, limit)
        call = _Call(source, target.model_name, chunk, dimensions, input_type)
        path, body = api.encode(call)
        if extra_body:
            body.update(extra_body)
        query = f"?{urlencode(target.query)}" if target.query else ""
        request = HttpRequest(
            "POST",
            f"{target.base_url}{path}{query}",
            headers={"Content-Type": "application/json"},
            body=dump_bytes(body),
            auth=target.auth,
            model_name=name,
            timeout=timeout,
            retry_policy=retry_policy,
            decode_error=import_module(f".models.{api.errors}", __package__).decode_error,
            provider=source.name,
        )
        try:
            answer = source.transport.send(request, limit)
            found = _read(api, answer, len(chunk), source.name, name)
        except AgentRunError as error:
            error.unanswered_requests += (usage.details or {}).get("unanswered_requests", 0)  # of the chunks before
            raise
        vectors += found.vectors
        usage.incr(Usage(1, found.tokens, None, found.tokens))
        usage.count_unanswered(answer.unanswered)
        answered = found.model_name or answered
    return EmbeddingResult(vectors, usage, answered, source.name)


class _Call(NamedTuple):
    provider: Provider
    model_name: str
    texts: Sequence[str]
    dimensions: Optional[int]
    input_type: Optional[str]


class _Found(NamedTuple):
    vectors: list[list[float]]
    tokens: Optional[int] = None
    model_name: Optional[str] = None


class _Api(NamedTuple):
    """
    One provider's API.

    Args:
        most_texts: in one request.
        most_bytes: of all texts of one request, a number that keeps below its limit of tokens.
        encode: gives path and body.
        decode: reads a body and the answer's headers; raises ValueError for one of another shape.
        errors: the module of models/ that reads its errors.
    """

    most_texts: int
    most_bytes: int
    encode: Callable[[_Call], tuple[str, dict[str, Any]]]
    decode: Callable[[Any, Mapping[str, str]], _Found]
    errors: str


def _checked_texts(texts: Union[str, Sequence[str]]) -> list[str]:
    found = [texts] if isinstance(texts, str) else list(texts)
    for index, text in enumerate(found):
        if not isinstance(text, str):
            raise UserError(f"texts[{index}] is not a text but {type(text).__name__}.")
    return found


def _provider_of(model: str, provider: Optional[Provider]) -> tuple[Provider, str]:
    if not isinstance(model, str):
        raise UserError(f"A model is a name such as 'openai:text-embedding-3-small'; got {type(model).__name__}.")
    prefix, colon, name = model.partition(":")
    if provider is not None:
        found, name = provider, name if colon and prefix == provider.name else model
    elif not colon:
        raise UserError(f"A model is named provider:model, such as 'openai:text-embedding-3-small'; got {model!r}.")
    else:
        found = VoyageAIProvider() if prefix == VoyageAIProvider.row.name else infer_provider(prefix)
    if not name.strip():
        raise UserError(f"{model!r} names a provider, but no model.")
    return found, name


def _api_of(provider: Provider, model_name: str) -> _Api:
    wire = provider.row.wire
    if provider.name == "google-vertex":
        wire = "vertex" if "gemini-embedding-2" in model_name else "vertex-predict"
    elif wire == "bedrock":
        family = next((each for each in ("titan-embed", "cohere.embed") if each in model_name), None)
        if family is None:
            raise UserError(f"Of Bedrock's models, those of Titan and Cohere give vectors here; got {model_name!r}.")
        wire = family
    elif wire in ("groq", "mistral"):
        wire = "chat"
    if wire not in _APIS or provider.name == "local":
        raise UserError(f"The provider {provider.name!r} has no API for vectors.")
    if provider.name == "mistral":  # https://docs.mistral.ai/api/endpoint/embeddings: 16,384 tokens in one request
        return _APIS[wire]._replace(most_texts=128, most_bytes=32_000)
    return _APIS[wire]


def _chunks(texts: Sequence[str], most_texts: int, most_bytes: int) -> Iterator[list[str]]:
    """The texts in order, in requests that keep both limits; a text that is too long alone goes alone."""
    chunk: list[str] = []
    size = 0
    for text in texts:
        length = len(text.encode("utf-8", "surrogatepass"))
        if chunk and (len(chunk) == most_texts or size + length > most_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(text)
        size += length
    if chunk:
        yield chunk


def _read(api: _Api, answer: HttpResponse, expected: int, provider_name: str, model_name: str) -> _Found:
    body = answer.json()
    try:
        found = api.decode(body, answer.headers)
        if len(found.vectors) != expected:
            raise ValueError(f"expected {expected} vectors, got {len(found.vectors)}")
    except ValueError as error:
        unreadable = ModelResponseError(
            f"The answer of {provider_name} {model_name} cannot be used: {answer.shown(str(error))}",
            model_name=model_name,
            request_id=answer.request_id,
            attempts=answer.attempts,
            elapsed=answer.elapsed,
        )
        unreadable.unanswered_requests = answer.unanswered
        raise unreadable from None
    return found


# --- what all bodies have in common ----------------------------------------------------------------


def _get(value: Any, key: str, kind: type, where: str = "") -> Any:
    if not isinstance(value, dict) or not isinstance(value.get(key), kind):
        got = type(value.get(key)).__name__ if isinstance(value, dict) else type(value).__name__
        raise ValueError(f"{where}{key}: expected {'a list' if kind is list else 'an object'}, got {got}")
    return value[key]


def _tokens(value: Any, *path: str) -> Optional[int]:
    """A count somewhere in a body; None where it is not said."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and value >= 0 else None


def _vector(value: Any, where: str) -> list[float]:
    """Numbers, or the base64 of 32-bit floats, little endian."""
    if isinstance(value, str):
        try:
            floats = array("f", base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            raise ValueError(f"{where}: expected a vector, got a text that is none") from None
        if sys.byteorder == "big":
            floats.byteswap()
        value = floats.tolist()
    if not isinstance(value, list) or not value:
        raise ValueError(f"{where}: expected a vector, got {type(value).__name__}")
    for number in value:
        if type(number) not in (int, float) or not math.isfinite(number):
            raise ValueError(f"{where}: expected numbers, got {number!r:.40}")
    return [float(number) for number in value]


def _kind(call: _Call, query: str, document: str) -> Optional[str]:
    """What *input_type* is called here; a word of the provider's own stays as it is."""
    return {"query": query, "document": document}.get(call.input_type or "", call.input_type)


def _put(body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body.update((key, value) for key, value in fields.items() if value is not None)
    return body


# --- OpenAI and those that speak as it does; Voyage --------------------------------------------------


def _encode_openai(call: _Call) -> tuple[str, dict[str, Any]]:
    # https://platform.openai.com/docs/api-reference/embeddings
    provider = call.provider.name
    if call.input_type is not None:
        _log.debug("%s is not told the input type of texts: its API has no place for it", provider)
    body: dict[str, Any] = {"model": call.model_name, "input": list(call.texts)}
    if provider in ("openai", "azure"):
        body["encoding_format"] = "base64"  # a quarter of the bytes; not every other server knows it
    _put(body, **{"output_dimension" if provider == "mistral" else "dimensions": call.dimensions})
    chat = str(call.provider.row.quirks.get("path", "/chat/completions"))
    return chat.replace("chat/completions", "embeddings"), body


def _encode_voyage(call: _Call) -> tuple[str, dict[str, Any]]:
    # https://docs.voyageai.com/reference/embeddings-api: a text that is too long is an error, not cut in silence
    body: dict[str, Any] = {"model": call.model_name, "input": list(call.texts), "encoding_format": "base64"}
    body["truncation"] = False
    return "/embeddings", _put(body, input_type=call.input_type, output_dimension=call.dimensions)


def _decode_openai(body: Any, headers: Mapping[str, str]) -> _Found:
    data = _get(body, "data", list)
    vectors: list[Optional[list[float]]] = [None] * len(data)
    for place, item in enumerate(data):
        if not isinstance(item, dict):
            raise ValueError(f"data[{place}]: expected an object, got {type(item).__name__}")
        index = item.get("index", place)
        if type(index) is not int or not 0 <= index < len(data) or vectors[index] is not None:
            raise ValueError(f"data[{place}].index: expected a place of its own, got {index!r:.40}")
        vectors[index] = _vector(item.get("embedding"), f"data[{place}].embedding")
    tokens = _tokens(body, "usage", "prompt_tokens")
    name = body.get("model")
    return _Found(
        [vector for vector in vectors if vector is not None],
        _tokens(body, "usage", "total_tokens") if tokens is None else tokens,
        name if isinstance(name, str) else None,
    )


# --- Google ------------------------------------------------------------------------------------------


def _google_path(name: str, start: str) -> str:
    steps = name.split("/")
    if any(step in ("", ".", "..") for step in steps):
        raise UserError(f"A model's name has no empty steps; got {name!r}.")
    return name if steps[0] == start.partition("/")[0] else f"{start}/{name}"


def _google_content(call: _Call, text: str) -> dict[str, Any]:
    return _put(
        {"content": {"parts": [{"text": text}]}},
        taskType=_kind(call, "RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT"),
        outputDimensionality=call.dimensions,
    )


def _encode_gemini(call: _Call) -> tuple[str, dict[str, Any]]:
    # https://ai.google.dev/api/embeddings#method:-models.batchembedcontents
    name = _google_path(call.model_name, "models")
    requests = [{"model": name, **_google_content(call, text)} for text in call.texts]
    return f"/{quote(name)}:batchEmbedContents", {"requests": requests}


def _decode_gemini(body: Any, headers: Mapping[str, str]) -> _Found:
    items = _get(body, "embeddings", list)
    vectors = [_vector(_get(item, "values", list, f"embeddings[{i}]."), "values") for i, item in enumerate(items)]
    return _Found(vectors, _tokens(body, "usageMetadata", "promptTokenCount"))


def _encode_vertex(call: _Call) -> tuple[str, dict[str, Any]]:
    # https://cloud.google.com/vertex-ai/generative-ai/docs/embeddings/get-text-embeddings: one text a request
    name = _google_path(call.model_name, "publishers/google/models")
    return f"/{quote(name)}:embedContent", _google_content(call, call.texts[0])


def _decode_vertex(body: Any, headers: Mapping[str, str]) -> _Found:
    vector = _vector(_get(_get(body, "embedding", dict), "values", list, "embedding."), "embedding.values")
    return _Found([vector], _tokens(body, "usageMetadata", "promptTokenCount"))


def _encode_predict(call: _Call) -> tuple[str, dict[str, Any]]:
    # https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api: of all models the
    # one that takes least takes one text a request
    name = _google_path(call.model_name, "publishers/google/models")
    kind = _kind(call, "RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT")
    body: dict[str, Any] = {"instances": [_put({"content": text}, task_type=kind) for text in call.texts]}
    if call.dimensions is not None:
        body["parameters"] = {"outputDimensionality": call.dimensions}
    return f"/{quote(name)}:predict", body


def _decode_predict(body: Any, headers: Mapping[str, str]) -> _Found:
    vectors, counts = [], []
    for place, item in enumerate(_get(body, "predictions", list)):
        inside = _get(item, "embeddings", dict, f"predictions[{place}].")
        vectors.append(_vector(inside.get("values"), f"predictions[{place}].embeddings.values"))
        counts.append(_tokens(inside, "statistics", "token_count"))
    known = [count for count in counts if count is not None]
    return _Found(vectors, sum(known) if known else None)


# --- Cohere, and Bedrock with its models ---------------------------------------------------------------


def _encode_cohere(call: _Call) -> tuple[str, dict[str, Any]]:
    # https://docs.cohere.com/reference/embed: the type of input has to be said
    body: dict[str, Any] = {"model": call.model_name, **_cohere_body(call)}
    return "/v2/embed", body


def _cohere_body(call: _Call) -> dict[str, Any]:
    body: dict[str, Any] = {
        "texts": list(call.texts),
        "input_type": _kind(call, "search_query", "search_document") or "search_document",
        "embedding_types": ["float"],
        "truncate": "NONE",
    }
    return _put(body, output_dimension=call.dimensions)


def _decode_cohere(body: Any, headers: Mapping[str, str]) -> _Found:
    rows = _get(_get(body, "embeddings", dict), "float", list, "embeddings.")
    vectors = [_vector(row, f"embeddings.float[{place}]") for place, row in enumerate(rows)]
    return _Found(vectors, _tokens(body, "meta", "billed_units", "input_tokens"))


def _encode_bedrock_cohere(call: _Call) -> tuple[str, dict[str, Any]]:
    # https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
    return f"/model/{quote(call.model_name, safe='')}/invoke", _cohere_body(call)


def _encode_titan(call: _Call) -> tuple[str, dict[str, Any]]:
    # https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html: one text a request
    body = _put({"inputText": call.texts[0]}, dimensions=call.dimensions)
    return f"/model/{quote(call.model_name, safe='')}/invoke", body


def _decode_titan(body: Any, headers: Mapping[str, str]) -> _Found:
    return _Found([_vector(_get(body, "embedding", list), "embedding")], _tokens(body, "inputTextTokenCount"))


def _decode_bedrock_cohere(body: Any, headers: Mapping[str, str]) -> _Found:
    count = headers.get("x-amzn-bedrock-input-token-count") or ""
    return _decode_cohere(body, headers)._replace(tokens=int(count) if count.isdigit() else None)


# Texts and bytes of one request: the limits of the pages above; a token is rarely less than two bytes.
_APIS: dict[str, _Api] = {
    "chat": _Api(2048, 600_000, _encode_openai, _decode_openai, "chat"),
    "voyageai": _Api(1000, 240_000, _encode_voyage, _decode_openai, "chat"),
    "gemini": _Api(100, 400_000, _encode_gemini, _decode_gemini, "gemini"),
    "vertex": _Api(1, 1, _encode_vertex, _decode_vertex, "gemini"),
    "vertex-predict": _Api(1, 1, _encode_predict, _decode_predict, "gemini"),
    "cohere": _Api(96, 400_000, _encode_cohere, _decode_cohere, "cohere"),
    "cohere.embed": _Api(96, 200_000, _encode_bedrock_cohere, _decode_bedrock_cohere, "bedrock"),
    "titan-embed": _Api(1, 1, _encode_titan, _decode_titan, "bedrock"),
}
