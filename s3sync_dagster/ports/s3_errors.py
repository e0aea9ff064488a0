"""What S3's errors mean for an object or a bucket."""

# botocore has no types: what it gives is unknown here, and Any beyond this file.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false

from dataclasses import dataclass

from botocore import exceptions as aws

from s3sync_dagster.model.errors import (
    AccessDenied,
    FixInput,
    InvalidSetting,
    NotFound,
    NotPossible,
    ObjectChanged,
    S3SyncError,
)
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.ports.aws_errors import (
    ASSUME_ROLE,
    CREDENTIAL_CODES,
    answer_error,
    error_code,
    error_headers,
    error_status,
    transport_error,
)

_NO_WAY_THERE = (aws.EndpointConnectionError, aws.ConnectTimeoutError)
_NO_TAGS_CODES = frozenset({"NotImplemented", "MethodNotAllowed"})
_GONE_CODES = frozenset({"NoSuchKey", "NoSuchVersion"})
_WRONG_REGION_CODES = frozenset(
    {
        "PermanentRedirect",
        "TemporaryRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "InvalidRegionName",
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, for messages."""

    doing: str
    """``listing``, ``reading`` or ``asking for``."""
    place: S3Place
    key: str | None = None

    def __str__(self) -> str:
        bucket = f"bucket {self.place.bucket_name!r}"
        if self.key is None:
            return f"{self.doing} {bucket}"
        return f"{self.doing} object {self.key!r} in {bucket}"


def s3_error(error: Exception, request: Request) -> S3SyncError:
    """Return this project's error for whatever botocore raised."""
    if not isinstance(error, aws.ClientError):
        endpoint = request.place.endpoint_url
        found = transport_error(error, doing=str(request), endpoint=endpoint)
        if endpoint is None and isinstance(error, _NO_WAY_THERE):
            found.message += (
                "; where the bucket is at another server than AWS, name that with --endpoint-url, "
                "endpoint_url or AWS_ENDPOINT_URL"
            )
        return found
    code, status = error_code(error), error_status(error)
    if error.operation_name == ASSUME_ROLE or code in CREDENTIAL_CODES:
        return answer_error(error, doing=str(request))
    if code == "NoSuchBucket" or (request.key is None and status == 404):
        return bucket_not_found(request.place)
    if code in _GONE_CODES or status == 404 or _is_delete_marker(error):
        return object_gone(request)
    if status == 412 or code in ("PreconditionFailed", "ConditionalRequestConflict"):
        return ObjectChanged(f"object {request.key!r} was overwritten before it could be read")
    if code == "InvalidObjectState":
        return FixInput(
            f"object {request.key!r} is archived; restore it to have it indexed",
            reason="archived",
        )
    if code in _WRONG_REGION_CODES or status in (301, 307):
        return InvalidSetting(
            f"{request} failed: the bucket is in another region than "
            f"{request.place.region!r}; correct the source's region, or leave it out",
            reason="wrong_region",
        )
    if code.startswith("KMS.") or (status in (400, 403) and _names_kms(error)):
        return AccessDenied(
            f"{request} failed: its KMS key may not be used or is disabled; "
            "grant kms:Decrypt to these credentials",
            reason="kms_denied",
        )
    if status in (401, 403):
        return _denied(request)
    if status == 400 and code == "400":
        return AccessDenied(
            f"{request} was refused with HTTP 400, to which a HEAD adds no reason: mostly an "
            "expired session token or a wrong region",
            reason="bad_request",
        )
    return answer_error(error, doing=str(request))


def tags_error(error: Exception, *, key: str) -> S3SyncError | None:
    """Return the error of tags that are not to be had; None: it is about something else."""
    if not isinstance(error, aws.ClientError) or error_code(error) in CREDENTIAL_CODES:
        return None
    if _is_delete_marker(error):
        return None
    if error_code(error) in _NO_TAGS_CODES or error_status(error) in (405, 501):
        return NotPossible(
            f"the tags of object {key!r} cannot be read: this server has none; take object_tags "
            "out of the source's settings",
            reason="tags_not_supported",
        )
    if error_status(error) == 403:
        return AccessDenied(
            f"the tags of object {key!r} may not be read; grant s3:GetObjectTagging (in a bucket "
            "with versions s3:GetObjectVersionTagging too), or take object_tags out of the "
            "source's settings",
            reason="tags_denied",
        )
    return None


def says_gone(error: Exception) -> bool:
    """Tell whether S3 itself said that the object is not there; a bare 404 can come from others."""
    return isinstance(error, aws.ClientError) and (
        error_code(error) in _GONE_CODES or "x-amz-delete-marker" in error_headers(error)
    )


def bucket_not_found(place: S3Place) -> NotFound:
    """Return the error for a bucket that the endpoint does not have."""
    where = f"at {place.endpoint_url}" if place.endpoint_url else "in AWS"
    return NotFound(
        f"bucket {place.bucket_name!r} does not exist {where}; check name, region and endpoint",
        reason="bucket_not_found",
    )


def object_gone(request: Request) -> NotFound:
    """Return the error for a key that has no object now."""
    return NotFound(
        f"object {request.key!r} does not exist in bucket {request.place.bucket_name!r}",
        reason="object_gone",
    )


def _denied(request: Request) -> AccessDenied:
    right = "s3:ListBucket" if request.key is None else "s3:GetObject"
    hints = [f"grant {right}"]
    if request.key is not None:
        hints.append("grant s3:ListBucket too, without which a missing key looks forbidden")
    if request.place.expected_bucket_owner is not None:
        hints.append("check expected_bucket_owner")
    if not request.place.requester_pays:
        hints.append("set requester_pays if the bucket asks for it")
    return AccessDenied(f"{request} is forbidden; {'; '.join(hints)}")


def _is_delete_marker(error: aws.ClientError) -> bool:
    # 405: the version that was asked for is a delete marker itself.
    return error_headers(error).get("x-amz-delete-marker") == "true"


def _names_kms(error: aws.ClientError) -> bool:
    # A forbidden key is a plain AccessDenied: only the text says so. It is looked at, not kept.
    return "kms" in str(error.response.get("Error", {}).get("Message", "")).lower()
