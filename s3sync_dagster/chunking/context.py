"""The context prefix: what is embedded before a chunk's text and not stored in it."""

from s3sync_dagster.chunking.budget import count_tokens
from s3sync_dagster.chunking.outline import Piece

MAX_CONTEXT_BYTES = 400
MAX_CONTEXT_SHARE = 8
"""The prefix takes at most an eighth of the tokens that the model reads."""
_MAX_KEY_CHARACTERS = 60


def context_prefix(
    object_key: str,
    piece: Piece,
    *,
    max_tokens: int | None = None,
    tokenizer_file: str | None = None,
) -> str:
    """Return one line with path, headings or symbols, outermost parts left out when too long.

    Args:
        object_key: full key; its end is what tells documents apart.
        piece: with the path of what encloses it.
        max_tokens: what the line may take of the model's tokens; None: only bytes count.
        tokenizer_file: how tokens are counted.
    """
    key = object_key
    if len(key) > _MAX_KEY_CHARACTERS:
        key = f"…{key[1 - _MAX_KEY_CHARACTERS :]}"
    steps = [" ".join(key.split()), *(name for _, name in piece.path if name)]
    while True:
        line = (" > ".join(steps) + "\n").encode("utf-8", "replace")
        tokens = 0
        if max_tokens is not None:
            (tokens,) = count_tokens(tokenizer_file, [line])
        if len(line) <= MAX_CONTEXT_BYTES and (max_tokens is None or tokens <= max_tokens):
            return line.decode()
        if len(steps) > 1:
            del steps[1]
        elif len(steps[0]) > 8:
            steps[0] = f"…{steps[0][-(len(steps[0]) // 2) :]}"
        else:
            return ""
