"""What failures of fsspec's drivers mean; their own texts are not repeated."""

from collections.abc import Iterator

from s3sync_dagster.model.errors import AccessDenied, S3SyncError, Throttled, Unavailable

_ABSENT = frozenset(
    {"FileNotFoundError", "KeyError", "SFTPNoSuchFile", "SFTPNoSuchPath", "ResourceNotFound"}
)
_DENIED = frozenset(
    {
        "PermissionError", "PermissionDenied", "SFTPPermissionDenied", "ClientAuthenticationError",
        "RefreshError", "DefaultCredentialsError", "ForbiddenOperation",
    }
)  # fmt: skip
_HOST_KEYS = frozenset({"HostKeyNotVerifiable", "KeyExchangeFailed"})
_LATE = ("Timeout", "TimedOut")


def is_absence(error: BaseException) -> bool:
    """Return whether a store said itself that something is not there.

    Drivers raise ``FileNotFoundError`` for what they do not understand as well, such as a server
    that answers with 503: it counts where all that led to it says the same. A page that the server
    sent on to says nothing of what was asked for.
    """
    if any(getattr(one, "history", ()) for one in _led_to(error)):
        return False
    if not any(isinstance(one, FileNotFoundError) for one in _led_to(error)):
        return False
    return all(
        type(one).__name__ in _ABSENT or _status(one) in (404, 410) for one in _led_to(error)
    )


def refusal(error: BaseException, what: str) -> S3SyncError:
    """Return what a failure means.

    Args:
        error: of a driver or of the network.
        what: was asked for, as the beginning of a sentence.
    """
    names = {type(one).__name__ for one in _led_to(error)}
    statuses = {_status(one) for one in _led_to(error)}
    if names & _HOST_KEYS:
        return AccessDenied(
            f"{what}: the server's key is not the one in known_hosts. Compare it with what its "
            "operator says before you write it there.",
            reason="host_key_unknown",
        )
    if names & _DENIED or statuses & {401, 403} or str(error).startswith("Forbidden"):
        return AccessDenied(f"{what} may not be read with these credentials.")
    if 429 in statuses:
        return Throttled(f"{what}: the store asks for a pause.")
    if "UnboundedAnswer" in names:
        return Unavailable(
            f"{what}: the server's answer is longer than any answer of its kind, or does not end.",
            reason="answer_too_long",
        )
    if any(name.endswith(_LATE) or "Timeout" in name for name in names):
        return Unavailable(f"{what}: the store did not answer in time.", reason="store_timeout")
    return Unavailable(
        f"{what} could not be read ({type(error).__name__}): is the store reachable?",
        reason="store_failed",
    )


def _led_to(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from or in place of."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _status(error: BaseException) -> int | None:
    """Return the HTTP status that an error of aiohttp, httpx, Azure or Google carries."""
    response = getattr(error, "response", None)
    for holder, name in ((error, "status"), (error, "status_code"), (error, "code")):
        value = getattr(holder, name, None)
        if isinstance(value, int | str) and str(value).isdecimal():
            return int(value)
    value = getattr(response, "status_code", None)
    return value if isinstance(value, int) else None
