"""How large a piece may be: bytes always, and tokens of the embedding model where they count."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3sync_dagster.model.errors import MissingEngine

_SPECIAL_TOKENS = 2
"""What models add to each text: ``[CLS]`` and ``[SEP]`` or their like."""
_SAMPLE_BYTES = 65_536
_STEPS_PER_OCTAVE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Both limits of a piece. Weights are bytes, stretched where the tokens are dense."""

    max_bytes: int
    max_tokens: int | None = None
    """Tokens that text and context may have together; None: only bytes count."""
    tokenizer_file: str | None = None
    context_tokens: int = 0
    """Kept free of ``max_tokens`` for the context prefix."""

    @property
    def reads(self) -> tuple[Path, ...]:
        """What a worker has to read beside the text (``workers.sandbox``)."""
        return () if self.tokenizer_file is None else (Path(self.tokenizer_file),)

    @property
    def text_tokens(self) -> int | None:
        """Tokens that the text alone may have, without the model's own ones."""
        if self.max_tokens is None or self.tokenizer_file is None:
            return None
        return max(1, self.max_tokens - _SPECIAL_TOKENS - self.context_tokens)

    def weights(self, parts: Sequence[bytes]) -> list[int]:
        """Return how much of ``max_bytes`` each part takes."""
        tokens = self.text_tokens
        if tokens is None:
            return [len(part) for part in parts]
        factor = self.max_bytes / tokens
        counts = count_tokens(self.tokenizer_file, parts)
        return [
            max(len(part), math.ceil(count * factor))
            for part, count in zip(parts, counts, strict=True)
        ]

    def for_outline(self, data: bytes) -> int:
        """Return the size in bytes above which something of this document will not fit.

        With dense text that is less than ``max_bytes``. Rounded down to quarter octaves, so that
        an edit of a line does not move it.
        """
        tokens = self.text_tokens
        if tokens is None:
            return self.max_bytes
        sample = data[:_SAMPLE_BYTES]
        (weight,) = self.weights([sample])
        if weight <= len(sample):
            return self.max_bytes
        steps = math.ceil(math.log2(weight / len(sample)) * _STEPS_PER_OCTAVE)
        return max(1, int(self.max_bytes / 2 ** (steps / _STEPS_PER_OCTAVE)))


def count_tokens(tokenizer_file: str | None, parts: Sequence[bytes]) -> list[int]:
    """Return the tokens of each part, without those that the model adds itself."""
    if tokenizer_file is None:
        return [0] * len(parts)
    tokenizer = _tokenizer(tokenizer_file)
    encode = tokenizer.encode  # one by one: encode_batch starts a thread per core
    texts = (part.decode("utf-8", "replace") for part in parts)
    return [len(encode(text, add_special_tokens=False)) for text in texts]


@functools.lru_cache(maxsize=4)
def _tokenizer(path: str) -> Any:
    from tokenizers import Tokenizer  # heavy: only where tokens are counted

    try:
        tokenizer = Tokenizer.from_file(path)
    except Exception:  # noqa: BLE001  the wheel raises nothing narrower for a bad file
        raise MissingEngine(
            f"The embedding model's tokenizer cannot be read from {path!r}.",
            reason="tokenizer_unreadable",
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
