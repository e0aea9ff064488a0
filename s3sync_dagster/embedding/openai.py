"""``openai``: any endpoint with OpenAI's wire: TEI, vLLM, Ollama, LM Studio, OpenAI itself."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3sync_dagster.embedding.endpoint import Endpoint, vector_of
from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.model.errors import LimitExceeded, Unavailable

if TYPE_CHECKING:
    from s3sync_dagster.embedding.embedder import Surroundings
    from s3sync_dagster.engine.ports import Vector, Vectors
    from s3sync_dagster.model.source import EmbeddingConfig

DEFAULT_KEY_VARIABLE = "OPENAI_API_KEY"


class OpenAiModel:
    """A model behind ``POST {endpoint}/embeddings``."""

    name = "openai"
    limits = ModelLimits(default_size_bytes=2048, least_texts=64)

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        model: str,
        api_base: str,
        api_key_env: str | None,
        task: Mapping[str, str] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._model = model
        self._api_base = api_base
        self._api_key_env = api_key_env or DEFAULT_KEY_VARIABLE
        self._document_prompt = (task or {}).get("document_prompt") or ""
        self._query_prompt = (task or {}).get("query_prompt") or ""
        self._base64: bool | None = None  # whether the server takes the field; None: not known
        self._dimension: int | None = None
        self._lock = threading.Lock()
        self.tokens = 0
        """Tokens that the endpoint counted so far."""

    @property
    def dimension(self) -> int:
        """Length of a vector; asks the endpoint once when no text was embedded yet."""
        if self._dimension is None:
            self._dimension = len(self._endpoint.embed(["dimension"], self._ask)[0])
        return self._dimension

    def configuration(self) -> Mapping[str, Any]:
        """Return what Chroma's own OpenAI function persists; the key itself is never part."""
        config: dict[str, Any] = {
            "api_base": self._api_base,
            "api_key_env_var": self._api_key_env,
            "api_type": None,
            "api_version": None,
            "default_headers": None,
            "deployment_id": None,
            "dimensions": None,
            "model_name": self._model,
            "organization_id": None,
        }
        if self._document_prompt:
            # Unknown to Chroma and passed over there; it tells these vectors from plain ones.
            config["document_prompt"] = self._document_prompt
        return {"type": "known", "name": self.name, "config": config}

    def cache_key(self) -> str:
        """Return model and document prompt."""
        return f"openai:{self._model}:{self._document_prompt}"

    def infer(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text."""
        prompted = [_prompted(self._document_prompt, text) for text in texts]
        vectors = self._endpoint.embed(prompted, self._ask)
        if self._dimension is None:
            self._dimension = vectors.shape[1]
        return vectors

    def infer_query(self, text: str) -> Vector:
        """Return the query's vector, with the query prompt."""
        prompt = self._query_prompt
        if prompt and "{text}" not in prompt and "qwen" in self._model.lower():
            prompt = f"Instruct: {prompt}\nQuery:{{text}}"
        return self._endpoint.embed_question(_prompted(prompt, text), self._ask)

    def _ask(self, texts: Sequence[str]) -> list[Vector]:
        body: dict[str, Any] = {"model": self._model, "input": list(texts)}
        if self._base64 is False:
            return self._read(self._endpoint.post(body))
        try:
            answer = self._endpoint.post(body | {"encoding_format": "base64"})
            self._base64 = True
        except LimitExceeded:
            if self._base64:
                raise
            # Not every server knows the field: ask once without before the text is blamed.
            answer = self._endpoint.post(body)
            self._base64 = False
        return self._read(answer)

    def _read(self, answer: Any) -> list[Vector]:
        try:
            entries = sorted(answer["data"], key=lambda entry: entry.get("index", 0))
            vectors = [_vector(entry["embedding"]) for entry in entries]
            used = (answer.get("usage") or {}).get("total_tokens")
        except (KeyError, TypeError, AttributeError, ValueError):
            raise Unavailable(
                f"{self._endpoint.address} did not answer as an OpenAI endpoint does",
                reason="bad_vectors",
            ) from None
        if type(used) is int and used > 0:  # what is wrong there makes no vector wrong
            with self._lock:
                self.tokens += used
        return vectors


def _prompted(prompt: str, text: str) -> str:
    return prompt.replace("{text}", text) if "{text}" in prompt else prompt + text


def _vector(value: str | list[float]) -> Vector:
    import numpy as np

    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value), dtype="<f4")
    return vector_of(value)


def open_model(config: EmbeddingConfig, around: Surroundings) -> OpenAiModel:
    """Return the model of an endpoint. Raises ``InvalidSetting`` without the key it names."""
    key = around.required_key(config.api_key_env) if config.api_key_env else None
    base = (config.endpoint_url or "").rstrip("/")
    return OpenAiModel(
        Endpoint(f"{base}/embeddings", headers={"authorization": f"Bearer {key}"} if key else {}),
        model=config.model or "",
        api_base=base,
        api_key_env=config.api_key_env,
        task=config.task,
    )
