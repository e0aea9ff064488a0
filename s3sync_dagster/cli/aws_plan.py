"""What a bucket needs at AWS so that its events reach a source: documents and commands, pure."""

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlsplit

EVENTS = (
    "s3:ObjectCreated:*",
    "s3:ObjectRemoved:*",
    "s3:LifecycleExpiration:*",  # ObjectRemoved does not tell of these
    "s3:ObjectRestore:Completed",
)
_TAGS = ("s3:GetObjectTagging", "s3:GetObjectVersionTagging")
VISIBILITY_SECONDS = 120
MAX_RECEIVES = 5
DAY_SECONDS = 86_400
ACCOUNT, REGION = "ACCOUNT_ID", "REGION"
"""Stand for what is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsPlan:
    """One queue with a dead-letter queue, one notification, one policy for the reader."""

    bucket: str
    prefix: str = ""
    queue_name: str
    region: str = REGION
    account: str = ACCOUNT
    kms_key_arn: str | None = None
    """Key with which the objects are encrypted."""
    endpoint_url: str | None = None
    """Of a server that speaks S3 and SQS; None: AWS's own."""
    tags: bool = False
    """The source takes tags: it has to be told of them, and may read them."""
    reports: tuple[str, str] | None = None
    """Bucket and prefix of the inventory reports of which the source is listed."""

    @property
    def partition(self) -> str:
        """Return AWS's word for its kind of region in ARNs."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    @property
    def events(self) -> tuple[str, ...]:
        """Return what the bucket tells the queue of."""
        return (*EVENTS, "s3:ObjectTagging:*") if self.tags else EVENTS

    @property
    def dead_letter_name(self) -> str:
        """Return the name of the queue for what nobody understood."""
        return f"{self.queue_name}-dead"

    @property
    def bucket_arn(self) -> str:
        """Return the bucket's ARN."""
        return f"arn:{self.partition}:s3:::{self.bucket}"

    def queue_arn(self, name: str) -> str:
        """Return the ARN of one of the two queues."""
        return f"arn:{self.partition}:sqs:{self.region}:{self.account}:{name}"

    def dead_letter_attributes(self) -> dict[str, str]:
        """Return attributes; a message keeps its age there, so it is kept for longer."""
        return {"MessageRetentionPeriod": str(14 * DAY_SECONDS)}

    def queue_attributes(self) -> dict[str, str]:
        """Return attributes as SQS takes them: numbers and documents as text."""
        redrive = {
            "deadLetterTargetArn": self.queue_arn(self.dead_letter_name),
            "maxReceiveCount": MAX_RECEIVES,
        }
        return {
            "VisibilityTimeout": str(VISIBILITY_SECONDS),
            "MessageRetentionPeriod": str(4 * DAY_SECONDS),
            "RedrivePolicy": json.dumps(redrive),
            "Policy": json.dumps(self.queue_policy()),
        }

    def queue_policy(self) -> dict[str, Any]:
        """Return who may send: S3, for this bucket of this account."""
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "EventsOfTheBucket",
                    "Effect": "Allow",
                    "Principal": {"Service": "s3.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": self.queue_arn(self.queue_name),
                    "Condition": {
                        "ArnLike": {"aws:SourceArn": self.bucket_arn},
                        "StringEquals": {"aws:SourceAccount": self.account},
                    },
                }
            ],
        }

    def notification(self) -> dict[str, Any]:
        """Return the entry of the bucket's ``QueueConfigurations``."""
        # Several prefixes of a bucket may tell the same queue: each has its own entry.
        mark = hashlib.sha256(self.prefix.encode()).hexdigest()[:8]
        entry: dict[str, Any] = {
            "Id": f"s3sync-{self.queue_name}-{mark}",
            "QueueArn": self.queue_arn(self.queue_name),
            "Events": list(self.events),
        }
        if self.prefix:
            rule = {"Name": "prefix", "Value": _encoded(self.prefix)}
            entry["Filter"] = {"Key": {"FilterRules": [rule]}}
        return entry

    def told_already(self, entry: Mapping[str, Any]) -> bool:
        """Return whether an entry that the bucket has tells this queue of the whole prefix."""
        if entry.get("QueueArn") != self.queue_arn(self.queue_name):
            return False
        if not set(self.events) <= set(entry.get("Events", ())):
            return False
        rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", [])
        values = {rule["Name"].lower(): rule["Value"] for rule in rules}
        return not values.get("suffix") and _encoded(self.prefix).startswith(
            values.get("prefix", "")
        )

    def reader_policy(self) -> dict[str, Any]:
        """Return all that a source with this queue has to be allowed, and no more."""
        objects = f"{self.bucket_arn}/{_literally(self.prefix)}*"
        statements: list[dict[str, Any]] = [
            {
                # Without a condition on s3:prefix, under which a missing key looks forbidden.
                "Sid": "List",
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": self.bucket_arn,
            },
            {
                "Sid": "Read",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:GetObjectVersion", *(_TAGS if self.tags else ())],
                "Resource": objects,
            },
            {
                "Sid": "TakeEvents",
                "Effect": "Allow",
                "Action": [
                    "sqs:ReceiveMessage",
                    "sqs:DeleteMessage",
                    "sqs:ChangeMessageVisibility",
                    "sqs:GetQueueAttributes",
                ],
                "Resource": self.queue_arn(self.queue_name),
            },
        ]
        if self.reports is not None:
            bucket, prefix = self.reports
            arn = f"arn:{self.partition}:s3:::{bucket}"
            statements += [
                {
                    "Sid": "FindReports",
                    "Effect": "Allow",
                    "Action": "s3:ListBucket",
                    "Resource": arn,
                    "Condition": {"StringLike": {"s3:prefix": f"{_literally(prefix)}*"}},
                },
                {
                    "Sid": "ReadReports",
                    "Effect": "Allow",
                    "Action": "s3:GetObject",
                    "Resource": f"{arn}/{_literally(prefix)}*",
                },
            ]
        if self.kms_key_arn:
            statements.append(
                {
                    "Sid": "Decrypt",
                    "Effect": "Allow",
                    "Action": "kms:Decrypt",
                    "Resource": self.kms_key_arn,
                }
            )
        return {"Version": "2012-10-17", "Statement": statements}

    def queue_url(self) -> str:
        """Return the address that the queue will have, of another server as the usual ones do."""
        if self.endpoint_url:
            return f"{self.endpoint_url.rstrip('/')}/{self.account}/{self.queue_name}"
        suffix = "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"
        return f"https://sqs.{self.region}.{suffix}/{self.account}/{self.queue_name}"

    def source_needs_region(self, region: str | None, url: str) -> bool:
        """Return whether a source of that region would ask for the queue in another one.

        The host of a queue at AWS tells its region, that of another server does not.
        """
        host = urlsplit(url).hostname or ""
        return self.region != region and self.region.lower() not in host.split(".")

    def to_json(self) -> dict[str, Any]:
        """Return all documents."""
        return {
            "queue_name": self.queue_name,
            "queue_url": self.queue_url(),
            "queue_attributes": self.queue_attributes(),
            "dead_letter_name": self.dead_letter_name,
            "dead_letter_attributes": self.dead_letter_attributes(),
            "notification": {"QueueConfigurations": [self.notification()]},
            "reader_policy": self.reader_policy(),
        }

    def script(self, *, last: str) -> str:
        """Return commands of the AWS command line, with ``last`` as their end."""
        where = ("--endpoint-url", self.endpoint_url) if self.endpoint_url else ()
        sqs = ("aws", *where, "sqs", "create-queue", "--region", self.region, "--queue-name")
        s3 = ("aws", *where, "s3api")
        dead = json.dumps(self.dead_letter_attributes())
        notification = json.dumps({"QueueConfigurations": [self.notification()]})
        policy = json.dumps(self.reader_policy(), indent=2)
        queue = json.dumps(self.queue_attributes())
        parts = [
            "# 1. The queue, and one for messages that nobody understands",
            shlex.join([*sqs, self.dead_letter_name, "--attributes", dead]),
            shlex.join([*sqs, self.queue_name, "--attributes", queue]),
            "",
            "# 2. The bucket tells the queue. The second command REPLACES what the first shows:",
            "#    where that is not empty, merge the two, or use `s3sync aws-setup --apply`",
            shlex.join([*s3, "get-bucket-notification-configuration", "--bucket", self.bucket]),
            shlex.join(
                [
                    *(*s3, "put-bucket-notification-configuration", "--bucket", self.bucket),
                    *("--notification-configuration", notification),
                ]
            ),
            "",
            "# 3. What s3sync may do: attach this policy to its user or role",
            shlex.join(
                [
                    *(
                        "aws",
                        *where,
                        "iam",
                        "create-policy",
                        "--policy-name",
                        f"s3sync-{self.queue_name}",
                    ),
                    *("--policy-document", policy),
                ]
            ),
            "",
            "# 4. The source reads the queue",
            last,
        ]
        return "\n".join(parts)


def queue_name_for(bucket: str) -> str:
    """Return a name that SQS takes: letters, digits, hyphens and underscores, at most 80."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", bucket)[:68] + "-s3sync"


def _encoded(prefix: str) -> str:
    """Return what S3 compares keys with: a space is a plus, the rest is percent-encoded."""
    return quote_plus(prefix, safe="/!-_.*'()")


def _literally(prefix: str) -> str:
    """Escape what a policy would take for wildcards and variables."""
    return re.sub(r"[*?$]", lambda match: "${" + match.group() + "}", prefix)
