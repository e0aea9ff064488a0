"""The OpenAI-compatible endpoint that describes pictures, where the source names one."""

import base64
from collections.abc import Callable

from s3sync_dagster.model.errors import (
    AccessDenied,
    InvalidSetting,
    NotPossible,
    Throttled,
    Unavailable,
)
from s3sync_dagster.model.source import ExtractionConfig

_TIMEOUT_SECONDS = 60.0
_MAX_TOKENS = 400
_MOST_BYTES = 1024 * 1024
"""Of an answer."""
_PROMPT = (
    "Describe this picture for a text search in at most five sentences: what it shows, names, "
    "labels and figures in it. Give only the description."
)
Describe = Callable[[bytes], str]


def open_describer(
    config: ExtractionConfig, *, resolve_env: Callable[[str], str | None] | None
) -> Describe | None:
    """Return a function from a JPEG to its description; None where the source names no endpoint.

    Raises ``InvalidSetting`` (``vision_model``, ``vision_api_key``) for settings that are not
    complete.
    """
    if config.vision_url is None:
        return None
    if not config.vision_model:
        raise InvalidSetting(
            "extraction.vision_url needs extraction.vision_model.", reason="vision_model"
        )
    headers = {}
    if config.vision_api_key_env:
        key = resolve_env(config.vision_api_key_env) if resolve_env else None
        if not key:
            raise InvalidSetting(
                f"extraction.vision_api_key_env: {config.vision_api_key_env} is not set.",
                reason="vision_api_key",
            )
        headers["Authorization"] = f"Bearer {key}"
    url = config.vision_url.rstrip("/") + "/chat/completions"
    model = config.vision_model

    def describe(picture: bytes) -> str:
        return _ask(url, model=model, headers=headers, picture=picture)

    return describe


def _ask(url: str, *, model: str, headers: dict[str, str], picture: bytes) -> str:
    import httpx  # noqa: PLC0415 (most sources describe no pictures)

    from s3sync_dagster.http_bounds import bounded_client  # noqa: PLC0415 (as above)

    image = "data:image/jpeg;base64," + base64.b64encode(picture).decode()
    parts = [
        {"type": "text", "text": _PROMPT},
        {"type": "image_url", "image_url": {"url": image}},
    ]
    body = {
        "model": model,
        "max_tokens": _MAX_TOKENS,
        "temperature": 0,
        "messages": [{"role": "user", "content": parts}],
    }
    try:
        with bounded_client(_MOST_BYTES, timeout=_TIMEOUT_SECONDS) as client:
            answer = client.post(url, json=body, headers=headers)
    except httpx.HTTPError:
        raise Unavailable("The vision endpoint does not answer.", reason="vision_down") from None
    _check(answer.status_code)
    try:
        text = answer.json()["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        message = "The vision endpoint's answer is no chat completion."
        raise NotPossible(message, reason="vision_answer") from None
    return " ".join(str(text or "").split())


def _check(status: int) -> None:
    if status in (401, 403):
        raise AccessDenied("The vision endpoint refuses the key.", reason="vision_refused")
    if status == 429:
        raise Throttled("The vision endpoint asks for a pause.", reason="vision_busy")
    if status >= 500:
        raise Unavailable(f"The vision endpoint answers {status}.", reason="vision_down")
    if status >= 400:
        raise NotPossible(f"The vision endpoint answers {status}.", reason="vision_answer")
