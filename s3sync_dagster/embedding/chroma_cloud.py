"""``chroma-cloud``: Qwen3 through Chroma Cloud's embedding service, or what speaks its wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3sync_dagster.embedding.endpoint import Endpoint, vector_of
from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.model.embedding_kinds import QWEN
from s3sync_dagster.model.errors import InvalidSetting, Unavailable

if TYPE_CHECKING:
    from s3sync_dagster.embedding.embedder import Surroundings
    from s3sync_dagster.engine.ports import Vector, Vectors
    from s3sync_dagster.model.source import EmbeddingConfig

EMBED_URL = "https://embed.trychroma.com"
KEY_VARIABLE = "CHROMA_API_KEY"
DEFAULT_TASK = "generic_retrieval"
QUERY_PROMPTS = {
    DEFAULT_TASK: "Retrieve semantically similar text",
    "nl_to_code": (
        "Given a question about coding, retrieval code or passage that can solve user's question"
    ),
}
"""Of the tasks that the hosted service and the stock client know."""


class ChromaCloudModel:
    """Qwen3-Embedding-0.6B, with the task that stock clients rebuild from the collection."""

    name = "chroma-cloud-qwen"
    dimension = 1024
    limits = ModelLimits(default_size_bytes=2048, least_texts=64)

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        model: str | None = None,
        task: Mapping[str, str] | None = None,
        api_key_env: str | None = None,
    ) -> None:
        if model not in (None, QWEN):
            raise InvalidSetting(f"embedding.model {model!r}: Chroma Cloud knows {QWEN} only")
        given = task or {}
        self._endpoint = endpoint
        self._api_key_env = api_key_env or KEY_VARIABLE
        # A collection without a task cannot be queried: clients then fall back to MiniLM.
        self._task = given.get("task_name") or DEFAULT_TASK
        self._document_prompt = given.get("document_prompt") or ""
        default_prompt = "" if given.get("document_prompt") else QUERY_PROMPTS.get(self._task, "")
        self._query_prompt = given.get("query_prompt") or default_prompt

    def configuration(self) -> Mapping[str, Any]:
        """Return what the hosted service and the stock client persist."""
        prompts = {"documents": self._document_prompt, "query": self._query_prompt}
        config = {
            "api_key_env_var": self._api_key_env,
            "model": QWEN,
            "task": self._task,
            "instructions": {self._task: prompts},
        }
        return {"type": "known", "name": self.name, "config": config}

    def cache_key(self) -> str:
        """Return model and document prompt."""
        return f"{QWEN}:{self._document_prompt}"

    def infer(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text."""
        return self._endpoint.embed(texts, lambda part: self._ask(part, self._document_prompt))

    def infer_query(self, text: str) -> Vector:
        """Return the query's vector, with the task's query prompt."""
        return self._endpoint.embed_question(text, lambda part: self._ask(part, self._query_prompt))

    def _ask(self, texts: Sequence[str], prompt: str) -> list[Vector]:
        answer = self._endpoint.post({"instructions": prompt, "texts": list(texts)})
        try:
            return [vector_of(numbers) for numbers in answer["embeddings"]]
        except (KeyError, TypeError, ValueError):
            raise Unavailable(
                f"{self._endpoint.address} did not answer as Chroma's embedding service does",
                reason="bad_vectors",
            ) from None


def open_cloud_endpoint(
    url: str | None, *, api_key: str | None, model: str = QWEN, path: str = ""
) -> Endpoint:
    """Return the service's endpoint for a model; sparse ones have a path of their own."""
    headers = {"x-chroma-embedding-model": model} | ({"x-chroma-token": api_key} if api_key else {})
    return Endpoint((url or EMBED_URL).rstrip("/") + path, headers=headers)


def open_model(config: EmbeddingConfig, around: Surroundings) -> ChromaCloudModel:
    """Return the model of the service. Raises ``InvalidSetting`` without its key."""
    url = config.endpoint_url or around.embed_url
    variable = config.api_key_env or KEY_VARIABLE
    # An endpoint of one's own may need no key; the hosted service always does.
    key = around.api_key(variable) if url else around.required_key(variable)
    return ChromaCloudModel(
        open_cloud_endpoint(url, api_key=key),
        model=config.model,
        task=config.task,
        api_key_env=config.api_key_env,
    )
