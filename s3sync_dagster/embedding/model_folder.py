"""A model that lies in a folder: where it is found, what its files say of it, its files loaded.

How tokens become a vector stands in the folder itself, as sentence-transformers writes it:
``modules.json``, the pooling's ``config.json``, ``sentence_bert_config.json`` and
``config_sentence_transformers.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, cast

from s3sync_dagster.embedding.device import open_session
from s3sync_dagster.model.embedding_kinds import CPU
from s3sync_dagster.model.errors import MissingEngine

WEIGHTS = ("onnx/model.onnx", "model.onnx")
LEAST_TOKENS = 8
DEFAULT_TOKENS = 512
"""What a model reads that does not say."""
LARGEST_TOKENS = 2**20
"""Tokenizers without an end write 10^30 for it."""
LARGEST_WIDTH = 2**16
SHOWN_CHARACTERS = 200
"""Of the name of a model that is not there."""
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
    if not Path(name).is_absolute():
        folders += _snapshots(hub)
    for folder in folders:
        if _has_model(folder):
            return folder
    shown = name[:SHOWN_CHARACTERS]
    raise MissingEngine(
        f"there is no model {shown!r} with tokenizer.json and "
        "onnx/model.onnx: give the path of its folder, put it into the model folder "
        "(S3SYNC_MODEL_DIR), or fetch it once with "
        "`huggingface-cli download`",
        reason="missing_model",
    )


def _snapshots(model: Path) -> list[Path]:
    """Return the copies of a model: the one that its branch ``main`` is at first."""
    main = model / "refs" / "main"
    try:
        current = main.read_text("utf-8").strip() if main.is_file() else ""
        found = list((model / "snapshots").glob("*"))
    except (OSError, ValueError):  # a name that no file may have; what is no text
        return []
    return sorted(found, key=lambda one: (one.name != current, one.name))


def _has_model(folder: Path) -> bool:
    """Tell whether weights and a tokenizer lie there; not where the path is none for files."""
    try:
        return weights_of(folder) is not None and (folder / "tokenizer.json").is_file()
    except OSError:
        return False


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
    if "Pooling" in kinds and not pooling:
        raise damaged(folder, "the pooling that its modules.json names is not there")
    config = read_part(folder, "config.json", {})
    encoder = read_part(folder, "sentence_bert_config.json", {})
    sentence = read_part(folder, "config_sentence_transformers.json", {})
    poolings = _poolings(folder, pooling)
    width = _whole(pooling.get("word_embedding_dimension") or config.get("hidden_size"))
    if width is None or not 1 <= width <= LARGEST_WIDTH:
        raise damaged(folder, "its width is nowhere to be read")
    prompts = sentence.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(
        isinstance(text, str) for text in cast("dict[Any, Any]", prompts).values()
    ):
        raise damaged(folder, "its prompts cannot be read")
    if any(prompts.values()) and pooling.get("include_prompt") is False:
        raise damaged(folder, "it pools without its prompt, which is not done here")
    named = sentence.get("default_prompt_name") or ""
    if not isinstance(named, str):
        raise damaged(folder, "its prompts cannot be read")
    standard = prompts.get(named, "")
    documents = (prompts[name] for name in ("document", "passage", "corpus") if name in prompts)
    return Recipe(
        max_tokens=read_length(folder),
        poolings=poolings,
        width=width,
        normalize="Normalize" in kinds,
        lower_case=bool(encoder.get("do_lower_case")),
        document_prompt=next(documents, standard),
        query_prompt=prompts.get("query", standard),
        padding=read_padding(folder),
    )


def read_length(folder: Path) -> int:
    """Return how many tokens a model reads, as its folder says.

    Raises:
        MissingEngine: it says none, too few, or more than it has positions (``damaged_model``).
    """
    encoder = read_part(folder, "sentence_bert_config.json", {})
    positions = _length(read_part(folder, "config.json", {}).get("max_position_embeddings"))
    tokens = _length(read_part(folder, "tokenizer_config.json", {}).get("model_max_length"))
    longest = encoder.get("max_seq_length")
    if longest is None:
        longest = min((one for one in (positions, tokens) if one), default=DEFAULT_TOKENS)
    if _length(longest) is None or longest < LEAST_TOKENS or longest > (positions or longest):
        raise damaged(folder, "its length cannot be read, is too small, or exceeds its positions")
    return int(longest)


def read_padding(folder: Path) -> int:
    """Return the token that fills up shorter texts. Raises ``MissingEngine`` where it is none."""
    told = read_part(folder, "config.json", {}).get("pad_token_id")
    padding = 0 if told is None else _whole(told)
    if padding is None or not 0 <= padding < 2**31:
        raise damaged(folder, "its pad_token_id is no token")
    return padding


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _length(value: Any) -> int | None:
    """Return a number of tokens; None for what is none, or stands for having no end."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if number and 1 <= value <= LARGEST_TOKENS else None


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


def load_files(folder: Path, max_tokens: int, device: str = CPU) -> tuple[Any, Any]:
    """Return the tokenizer, which cuts to ``max_tokens``, and the session of a folder's model.

    Raises:
        MissingEngine: they are gone or damaged (``damaged_model``), or the device is not to be had.
    """
    from tokenizers import Tokenizer

    weights = require_weights(folder)
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        session = open_session(weights, device)
    except MissingEngine:
        raise
    except Exception:  # noqa: BLE001  (both raise classes of their own for bad files)
        raise damaged(folder, "its files cannot be loaded") from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer, session


def require_weights(folder: Path) -> Path:
    """Return the model's ONNX file. Raises ``MissingEngine`` where it is gone."""
    found = weights_of(folder)
    if found is None:
        raise damaged(folder, "its weights are gone")
    return found


def weights_of(folder: Path) -> Path | None:
    """Return the model's ONNX file, None where there is none."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def beside_weights(weights: Path) -> list[Path]:
    """Return the files beside an ONNX file that it names: numbers of larger models lie there."""
    found = [one for one in weights.parent.iterdir() if one.is_file() and one.name != weights.name]
    if not found or not weights.stat().st_size:
        return []
    with weights.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return sorted(one for one in found if content.find(one.name.encode()) >= 0)


def read_part(folder: Path, name: str, default: Any) -> Any:
    """Return one of the folder's JSON files, the default where there is none."""
    path = folder / name
    try:
        if not path.is_file():
            return default
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        value = None
    if not isinstance(value, type(default)):
        raise damaged(folder, f"its {name} cannot be read")
    return value


def damaged(folder: Path, why: str) -> MissingEngine:
    """Return the error of a folder that cannot be used."""
    return MissingEngine(f"the model in {folder} cannot be used: {why}", reason="damaged_model")
