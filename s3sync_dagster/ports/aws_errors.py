"""AWS's and the network's failures in this project's own words.

Nothing of a foreign exception's text is kept: it can hold keys, signatures and internal hosts.
Its code decides, and the sentence names the thing and the way out.
"""

# botocore has no types: what it gives is unknown here, and Any beyond this file.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false

import re
from collections.abc import Mapping
from typing import Any, cast

from botocore import exceptions as aws
from botocore.parsers import ResponseParserError
from urllib3 import exceptions as http

from s3sync_dagster.model.errors import (
    AccessDenied,
    FixConfiguration,
    InvalidSetting,
    NotPossible,
    S3SyncError,
    Throttled,
    Unavailable,
)
from s3sync_dagster.ports.aws_bounds import UnboundedAnswer

ASSUME_ROLE = "AssumeRole"

CREDENTIAL_CODES: Mapping[str, tuple[str, str]] = {
    "InvalidAccessKeyId": (
        "invalid_access_key",
        "the access key id is not known there; check the source's credentials and endpoint",
    ),
    "SignatureDoesNotMatch": (
        "wrong_secret_key",
        "the secret access key does not fit the access key id; check both, and the region",
    ),
    "ExpiredToken": ("expired_token", "the session token has expired; renew the credentials"),
    "InvalidToken": (
        "invalid_token",
        "the session token is not valid; renew the credentials and give all three parts",
    ),
    "RequestTimeTooSkewed": (
        "clock_skew",
        "this machine's clock is off by more than 15 minutes; set it",
    ),
}
_SAME_AS: Mapping[str, str] = {
    "ExpiredTokenException": "ExpiredToken",
    "RequestExpired": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "InvalidClientTokenId": "InvalidAccessKeyId",
    "UnrecognizedClientException": "InvalidAccessKeyId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "SignatureDoesNotMatchException": "SignatureDoesNotMatch",
}
_THROTTLED = frozenset(
    {
        "SlowDown",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestLimitExceeded",
        "TooManyRequests",
        "TooManyRequestsException",
        "BandwidthLimitExceeded",
        "OverLimit",
    }
)
_THROTTLED_STATUS = (429, 503)
_WORD = re.compile(r"[A-Za-z0-9.]{1,64}")


def error_code(error: aws.ClientError) -> str:
    """Return the answer's error code in its usual spelling."""
    # SQS's query-compatible errors carry a namespace before the code.
    code = str(error.response.get("Error", {}).get("Code", "")).rpartition("#")[2]
    return _SAME_AS.get(code, code)


def error_status(error: aws.ClientError) -> int:
    """Return the HTTP status, 0 when it is not known."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def error_headers(error: aws.ClientError) -> Mapping[str, str]:
    """Return the answer's headers, names in lower case."""
    answer = cast("dict[str, Any]", error.response.get("ResponseMetadata", {}))
    return answer.get("HTTPHeaders", {})


def answer_error(error: aws.ClientError, *, doing: str) -> S3SyncError:
    """Return what an error answer means, as far as all AWS services agree.

    Args:
        error: what botocore raised.
        doing: what failed, such as ``reading object 'a.md' in bucket 'b'``.
    """
    code, status = error_code(error), error_status(error)
    if error.operation_name == ASSUME_ROLE and not _is_passing(code, status):
        return AccessDenied(
            f"{doing} failed: the role may not be assumed with these credentials; check its ARN, "
            "its trust policy and the external id",
            reason="assume_role_denied",
        )
    if code in CREDENTIAL_CODES:
        reason, sentence = CREDENTIAL_CODES[code]
        return AccessDenied(f"{doing} failed: {sentence}", reason=reason)
    if code in _THROTTLED or status in _THROTTLED_STATUS:
        return Throttled(
            f"{doing} failed: the service asked for a pause",
            retry_after_seconds=_retry_after(error),
        )
    if _is_passing(code, status):
        html = error_headers(error).get("content-type", "").startswith("text/html")
        hint = "; it sent a web page: check that the URL is that of an API" if html else ""
        return Unavailable(
            f"{doing} failed: the service has a problem of its own (HTTP {status}){hint}",
            reason="service_error",
        )
    named = f" ({code})" if _WORD.fullmatch(code) else ""
    if status in (401, 403) or "AccessDenied" in code:
        return AccessDenied(f"{doing} is not allowed with these credentials{named}")
    return FixConfiguration(
        f"{doing} was refused with HTTP {status}{named}", reason="request_refused"
    )


def transport_error(error: Exception, *, doing: str, endpoint: str | None) -> S3SyncError:
    """Return what a failure means that came before or instead of an answer.

    Args:
        error: what botocore or urllib3 raised.
        doing: what failed, such as ``listing bucket 'b'``.
        endpoint: the configured endpoint, None for AWS's own.
    """
    if isinstance(error, aws.HTTPClientError) and isinstance(error.kwargs["error"], S3SyncError):
        return error.kwargs["error"]  # what our own guard of connections raised
    where = f"the endpoint {_without_userinfo(endpoint)}" if endpoint else "AWS"
    if isinstance(error, aws.ProfileNotFound):
        return _no_profile(doing, str(error.kwargs["profile"]))
    if isinstance(error, _NO_CREDENTIALS):
        return _no_credentials(doing)
    if isinstance(error, _NO_WAY_TO_CREDENTIALS):
        return AccessDenied(
            f"{doing} failed: the way to credentials that AWS's profile or variables name gives "
            f"none ({type(error).__name__}): log in again (`aws sso login`), or correct what they "
            "name (a program, a token's file, another profile)",
            reason="no_credentials",
        )
    if isinstance(error, aws.SSLError | http.SSLError):
        return FixConfiguration(
            f"{doing} failed: the certificate of {where} is not trusted, or it does not speak TLS; "
            "check the URL's scheme, or set AWS_CA_BUNDLE",
            reason="tls_failed",
        )
    if isinstance(error, aws.ProxyConnectionError):
        return Unavailable(
            f"{doing} failed: the proxy of HTTP_PROXY or HTTPS_PROXY cannot be reached",
            reason="endpoint_unreachable",
        )
    if isinstance(error, aws.EndpointConnectionError | aws.ConnectTimeoutError):
        return Unavailable(
            f"{doing} failed: {where} cannot be reached; check address, port and network",
            reason="endpoint_unreachable",
        )
    if isinstance(error, UnboundedAnswer) and not error.slow:
        return Unavailable(
            f"{doing} failed: what {where} answers is longer than any answer of this service",
            reason="answer_too_long",
        )
    if isinstance(error, aws.ReadTimeoutError | http.ReadTimeoutError | UnboundedAnswer):
        return Unavailable(f"{doing} failed: {where} did not answer in time", reason="timeout")
    if isinstance(error, _BROKEN):
        return Unavailable(
            f"{doing} failed: the connection to {where} broke", reason="connection_broken"
        )
    if isinstance(error, ResponseParserError | RecursionError):  # nested without end
        return NotPossible(
            f"{doing} failed: what {where} answers is not what this service says; "
            "check that the URL is that of its API and not of a console or proxy",
            reason="not_this_service",
        )
    return InvalidSetting(
        f"{doing} failed before anything was sent: bucket name, region, endpoint, queue URL or "
        f"role does not have the form that AWS's SDK asks for ({type(error).__name__})"
    )


def is_broken_connection(error: Exception) -> bool:
    """Tell whether an answer ended before it was whole, so that asking again may help."""
    return isinstance(error, (*_BROKEN, http.ReadTimeoutError))


_BROKEN = (
    aws.HTTPClientError,
    aws.IncompleteReadError,
    http.ProtocolError,
    http.IncompleteRead,
    ConnectionError,
)
_NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.NoAuthTokenError,
    aws.MetadataRetrievalError,
)
_NO_WAY_TO_CREDENTIALS = (
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
    aws.InvalidConfigError,
    aws.UnknownCredentialError,
    aws.MissingDependencyException,
    *(getattr(aws, name) for name in ("LoginError",) if hasattr(aws, name)),  # of newer ones
)


def _no_credentials(doing: str) -> S3SyncError:
    return AccessDenied(
        f"{doing} failed: no AWS credentials were found; set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, a profile, or the source's credentials",
        reason="no_credentials",
    )


def _no_profile(doing: str, name: str) -> S3SyncError:
    return AccessDenied(
        f"{doing} failed: the AWS profile {name!r}, of the source or of AWS_PROFILE, is in none of "
        "AWS's configuration files (~/.aws/config, ~/.aws/credentials)",
        reason="profile_not_found",
    )


def _is_passing(code: str, status: int) -> bool:
    return status >= 500 or code in _THROTTLED or code in ("RequestTimeout", "InternalError")


def _retry_after(error: aws.ClientError) -> float:
    try:
        seconds = float(error_headers(error).get("retry-after", "0"))
    except ValueError:
        return 0.0  # the header's other form is a date, which no S3 sends
    return min(max(seconds, 0.0), 300.0)


def _without_userinfo(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)
