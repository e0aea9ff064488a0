"""Services that answer, but wrongly: each as its port tells the engine of it."""

from collections.abc import Callable

from s3sync_dagster.model.errors import (
    AccessDenied,
    Conflict,
    FixConfiguration,
    InvalidSetting,
    LimitExceeded,
    NotFound,
    ObjectChanged,
    S3SyncError,
    Throttled,
    Unavailable,
)

Answer = Callable[[], S3SyncError]

CHROMA: dict[str, Answer] = {
    "400": lambda: InvalidSetting("refused as invalid", reason="chroma_refused"),
    "401": lambda: AccessDenied("the credentials are refused"),
    "403": lambda: AccessDenied("forbidden"),
    "402": lambda: FixConfiguration("misconfigured", reason="chroma_misconfigured"),
    "404 of a proxy": lambda: Unavailable("this is not Chroma", reason="not_chroma"),
    "409": lambda: Conflict("it is there already", reason="already_exists"),
    "413": lambda: LimitExceeded("too large", reason="request_too_large"),
    "429": lambda: Throttled("slow down", retry_after_seconds=30),
    "500": lambda: Unavailable("Chroma failed", reason="chroma_unavailable"),
    "HTML": lambda: Unavailable("this is not Chroma", reason="bad_answer"),
    "timeout": lambda: Unavailable("no answer", reason="chroma_timeout"),
}
"""But 422 for each write, which ends at single records (``refuses all``)."""
EMBED: dict[str, Answer] = {
    "400": lambda: LimitExceeded("a text is refused", reason="text_refused"),
    "413": lambda: LimitExceeded("a text is too long", reason="text_refused"),
    "401": lambda: AccessDenied("the key is refused"),
    "402": lambda: InvalidSetting("the request is refused"),
    "404": lambda: NotFound("no such model"),
    "429": lambda: Throttled("slow down", retry_after_seconds=30),
    "500": lambda: Unavailable("it failed", reason="embedding_unavailable"),
    "HTML": lambda: Unavailable("this is no endpoint", reason="bad_vectors"),
}
S3: dict[str, Answer] = {
    "301": lambda: InvalidSetting("another region", reason="wrong_region"),
    "400": lambda: AccessDenied("refused", reason="bad_request"),
    "403": lambda: AccessDenied("forbidden"),
    "404 of the bucket": lambda: NotFound("no such bucket", reason="bucket_not_found"),
    "412": lambda: ObjectChanged("overwritten meanwhile"),
    "503": lambda: Throttled("slow down", retry_after_seconds=3),
    "KMS": lambda: AccessDenied("the key is disabled", reason="kms_denied"),
    "500": lambda: Unavailable("it failed", reason="s3_unavailable"),
    "HTML": lambda: Unavailable("this is no bucket", reason="bad_answer"),
}
WRONG = {"chroma": CHROMA, "embed": EMBED, "s3": S3}
