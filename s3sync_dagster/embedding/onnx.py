"""``onnx``: any sentence-embedding model that lies in a folder, under ONNX Runtime.

How its tokens become a vector stands in the folder itself, as sentence-transformers writes it:
``modules.json``, the pooling's ``config.json``, ``sentence_bert_config.json`` and
``config_sentence_transformers.json``.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from s3sync_dagster.embedding.minilm import make_batches, open_session
from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.model.errors import MissingEngine

if TYPE_CHECKING:
    from s3sync_dagster.embedding.embedder import Surroundings
    from s3sync_dagster.engine.ports import Vector, Vectors
    from s3sync_dagster.model.source import EmbeddingConfig

WEIGHTS = ("onnx/model.onnx", "model.onnx")
BYTES_PER_TOKEN = 4
"""Of English prose: a chunk is as large as what the model reads, at most ``LARGEST_BYTES``."""
LARGEST_BYTES = 2048
POOLINGS = ("cls", "max", "mean", "lasttoken")
_MODULES = frozenset(("Transformer", "Pooling", "Normalize"))


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model turns text into a vector, as its folder says."""

    max_tokens: int
    poolings: tuple[str, ...]
    """Of ``POOLINGS``; several are put one behind the other."""
    width: int
    """Numbers of one token."""
    normalize: bool
    lower_case: bool
    document_prompt: str
    query_prompt: str
    padding: int
    """Token that fills up shorter texts: some models count positions by it."""


def find_model(name: str, model_dir: Path | None) -> Path:
    """Return the folder of a model: a path, a folder of ``model_dir``, or a copy of the hub's.

    Args:
        name: path of the folder, or the model's name such as ``BAAI/bge-small-en-v1.5``.
        model_dir: where local models lie.

    Raises:
        MissingEngine: there is none with weights in ONNX form and a tokenizer.
    """
    hub = Path.home() / ".cache" / "huggingface" / "hub" / f"models--{name.replace('/', '--')}"
    folders = [Path(name)] if Path(name).is_absolute() else []
    if model_dir is not None and not folders:
        folders.append(model_dir / name)
    folders += sorted((hub / "snapshots").glob("*")) if not Path(name).is_absolute() else []
    for folder in folders:
        if weights_of(folder) is not None and (folder / "tokenizer.json").is_file():
            return folder
    raise MissingEngine(
        f"there is no model {name!r} with tokenizer.json and onnx/model.onnx: give the path of its "
        "folder, put it into the model folder (S3SYNC_MODEL_DIR), or fetch it once with "
        "`huggingface-cli download`",
        reason="missing_model",
    )


def read_recipe(folder: Path) -> Recipe:
    """Read what the model's folder says of itself.

    Raises:
        MissingEngine: a file is missing or broken, or asks for what this engine does not do.
    """
    modules = read_part(folder, "modules.json", [])
    if not all(isinstance(one, dict) for one in modules):
        raise damaged(folder, "its modules.json cannot be read")
    kinds = {
        str(one.get("type", "")).rsplit(".", 1)[-1]: str(one.get("path", "")) for one in modules
    }
    unknown = sorted(kinds.keys() - _MODULES)
    if unknown:
        raise damaged(folder, f"its modules {', '.join(unknown)} are not known here")
    pooling = read_part(folder, f"{kinds.get('Pooling', '1_Pooling')}/config.json", {})
    config = read_part(folder, "config.json", {})
    encoder = read_part(folder, "sentence_bert_config.json", {})
    sentence = read_part(folder, "config_sentence_transformers.json", {})
    tokens = read_part(folder, "tokenizer_config.json", {})
    poolings = _poolings(folder, pooling)
    width = pooling.get("word_embedding_dimension") or config.get("hidden_size")
    told = (config.get("max_position_embeddings"), tokens.get("model_max_length"))
    if not all(one is None or isinstance(one, int | float) for one in told):
        raise damaged(folder, "its width or its length is nowhere to be read")
    longest = encoder.get("max_seq_length") or int(min(one or 512 for one in told))
    if not isinstance(width, int) or not isinstance(longest, int):
        raise damaged(folder, "its width or its length is nowhere to be read")
    prompts = sentence.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(
        isinstance(text, str) for text in cast("dict[Any, Any]", prompts).values()
    ):
        raise damaged(folder, "its prompts cannot be read")
    if any(prompts.values()) and pooling.get("include_prompt") is False:
        raise damaged(folder, "it pools without its prompt, which is not done here")
    standard = prompts.get(sentence.get("default_prompt_name") or "", "")
    documents = (prompts[name] for name in ("document", "passage", "corpus") if name in prompts)
    return Recipe(
        max_tokens=longest,
        poolings=poolings,
        width=width,
        normalize="Normalize" in kinds,
        lower_case=bool(encoder.get("do_lower_case")),
        document_prompt=next(documents, standard),
        query_prompt=prompts.get("query", standard),
        padding=config.get("pad_token_id") or 0,
    )


def _poolings(folder: Path, pooling: Mapping[str, Any]) -> tuple[str, ...]:
    named = pooling.get("pooling_mode")
    if isinstance(named, str):
        wanted = {named}
    else:
        wanted = {
            key.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
            for key, value in pooling.items()
            if key.startswith("pooling_mode_") and value is True
        } or {"mean"}
    if not wanted <= set(POOLINGS):
        raise damaged(folder, f"its pooling {', '.join(sorted(wanted))} is not known here")
    return tuple(name for name in POOLINGS if name in wanted)


class OnnxModel:
    """One folder's model."""

    name = "sentence_transformer"

    def __init__(
        self,
        folder: Path,
        *,
        model: str,
        task: Mapping[str, str] | None = None,
        workers: int = 1,
    ) -> None:
        """Prepare the model; its weights load at the first text.

        Args:
            folder: as ``find_model`` returns it.
            model: the name that people gave, which the collection keeps.
            task: ``document_prompt`` and ``query_prompt`` in place of the folder's own.
            workers: batches inferred side by side, each in one thread.

        Raises:
            MissingEngine: the folder cannot be used (``damaged_model``).
        """
        self._folder = folder
        self._model = model
        self._workers = workers
        self._loading = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None
        self._key: str | None = None
        self.recipe = recipe = read_recipe(folder)
        task = task or {}
        self._prompts = (
            task.get("document_prompt", recipe.document_prompt),
            task.get("query_prompt", recipe.query_prompt),
        )
        self.dimension = recipe.width * len(recipe.poolings)
        self.limits = ModelLimits(
            default_size_bytes=min(LARGEST_BYTES, BYTES_PER_TOKEN * recipe.max_tokens),
            max_tokens=recipe.max_tokens,
            tokenizer_file=str(folder / "tokenizer.json"),
        )

    def configuration(self) -> Mapping[str, Any]:
        """Return that of Chroma's sentence-transformers function.

        A stock client with that package makes the same vectors where the model has no prompts.
        """
        config = {
            "model_name": self._model,
            "device": "cpu",
            "normalize_embeddings": self.recipe.normalize,
            "kwargs": {},
        }
        return {"type": "known", "name": self.name, "config": config}

    def cache_key(self) -> str:
        """Return a digest of the weights and the recipe: a name alone proves nothing."""
        if self._key is None:
            digest = hashlib.sha256(repr((self.recipe, self._prompts)).encode())
            with self._weights().open("rb") as file:
                while part := file.read(1 << 20):
                    digest.update(part)
            self._key = f"onnx:{digest.hexdigest()[:32]}"
        return self._key

    def infer(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text."""
        return self._infer([self._prompts[0] + text for text in texts])

    def infer_query(self, text: str) -> Vector:
        """Return the query's vector, with its prompt."""
        return self._infer([self._prompts[1] + text])[0]

    def _infer(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        tokenizer, session = self._load()
        if self.recipe.lower_case:
            texts = [text.lower() for text in texts]
        # One by one: encode_batch starts a thread per core.
        tokens = [tokenizer.encode(text).ids for text in texts]
        rows = np.empty((len(texts), self.dimension), dtype=np.float32)

        def infer_batch(places: list[int]) -> None:
            rows[places] = self._pooled(session, [tokens[place] for place in places])

        with ThreadPoolExecutor(self._workers, thread_name_prefix="onnx") as pool:
            list(pool.map(infer_batch, make_batches(tokens)))
        return rows

    def _pooled(self, session: Any, tokens: Sequence[Sequence[int]]) -> Vectors:
        """Return vectors for texts, the longest of them first."""
        import numpy as np

        ids = np.full((len(tokens), len(tokens[0])), self.recipe.padding, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        wanted = {one.name for one in session.get_inputs()}
        hidden = session.run(
            [_token_output(self._folder, session)],
            {name: value for name, value in given.items() if name in wanted},
        )[0]
        weights = mask[:, :, None].astype(np.float32)
        last = mask.sum(axis=1) - 1
        found = {
            "cls": lambda: hidden[:, 0],
            "max": lambda: np.where(weights > 0, hidden, -np.inf).max(axis=1),
            "mean": lambda: (hidden * weights).sum(axis=1) / weights.sum(axis=1),
            "lasttoken": lambda: hidden[np.arange(len(tokens)), last],
        }
        vectors = np.concatenate([found[name]() for name in self.recipe.poolings], axis=1)
        if self.recipe.normalize:
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def _load(self) -> tuple[Any, Any]:
        from tokenizers import Tokenizer

        with self._loading:
            if self._loaded is None:
                tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
                tokenizer.no_padding()
                tokenizer.enable_truncation(self.recipe.max_tokens)
                self._loaded = (tokenizer, open_session(self._weights()))
            return self._loaded

    def _weights(self) -> Path:
        found = weights_of(self._folder)
        if found is None:
            raise damaged(self._folder, "its weights are gone")
        return found


def _token_output(folder: Path, session: Any) -> str:
    """Return the name of the output with a row for each token."""
    for one in session.get_outputs():
        if len(one.shape) == 3:  # text, token, number
            return str(one.name)
    raise damaged(folder, "its ONNX file has no output with a row for each token")


def weights_of(folder: Path) -> Path | None:
    """Return the model's ONNX file, None where there is none."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def read_part(folder: Path, name: str, default: Any) -> Any:
    """Return one of the folder's JSON files, the default where there is none."""
    path = folder / name
    if not path.is_file():
        return default
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        value = None
    if not isinstance(value, type(default)):
        raise damaged(folder, f"its {name} cannot be read")
    return value


def damaged(folder: Path, why: str) -> MissingEngine:
    """Return the error of a folder that cannot be used."""
    return MissingEngine(f"the model in {folder} cannot be used: {why}", reason="damaged_model")


def open_model(config: EmbeddingConfig, around: Surroundings) -> OnnxModel:
    """Return the model of a folder. Raises ``MissingEngine`` where there is none."""
    name = config.model or ""
    folder = find_model(name, around.model_dir)
    return OnnxModel(folder, model=name, task=config.task, workers=around.workers)
