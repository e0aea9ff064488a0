"""``s3sync aws-setup``: what it prints can be carried out, and what it carries out works."""

import json
import re
import shlex
import subprocess
import sys
import uuid
from dataclasses import replace
from urllib.parse import unquote_plus

import pytest

from s3sync_dagster.cli.aws_plan import AwsPlan, queue_name_for

PLAN = AwsPlan(
    bucket="acme-docs",
    prefix="team red/*/",
    queue_name="acme-docs-s3sync",
    region="eu-central-1",
    account="123456789012",
    kms_key_arn="arn:aws:kms:eu-central-1:123456789012:key/abc",
)


def statements(policy):
    return {one["Sid"]: one for one in policy["Statement"]}


def test_the_reader_is_allowed_what_it_needs_and_only_under_its_prefix():
    allowed = statements(PLAN.reader_policy())
    assert allowed["Read"]["Resource"] == "arn:aws:s3:::acme-docs/team red/${*}/*"
    assert allowed["List"]["Resource"] == "arn:aws:s3:::acme-docs"
    assert allowed["Decrypt"]["Resource"] == PLAN.kms_key_arn
    actions = {
        action
        for one in allowed.values()
        for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    }
    assert not [action for action in actions if "*" in action or "Put" in action]


def test_a_source_that_takes_tags_is_told_of_them_and_may_read_them():
    tags = replace(PLAN, tags=True)
    assert tags.notification()["Events"] == [*PLAN.notification()["Events"], "s3:ObjectTagging:*"]
    assert not tags.told_already(PLAN.notification())
    more = {*statements(tags.reader_policy())["Read"]["Action"]}
    more -= {*statements(PLAN.reader_policy())["Read"]["Action"]}
    assert more == {"s3:GetObjectTagging", "s3:GetObjectVersionTagging"}


def test_the_reader_of_inventory_reports_may_see_their_folder_and_no_other():
    plan = replace(PLAN, reports=("reports", "made/acme-docs/all/"))
    allowed = statements(plan.reader_policy())
    assert allowed["ReadReports"]["Resource"] == "arn:aws:s3:::reports/made/acme-docs/all/*"
    assert allowed["FindReports"]["Resource"] == "arn:aws:s3:::reports"
    condition = {"StringLike": {"s3:prefix": "made/acme-docs/all/*"}}
    assert allowed["FindReports"]["Condition"] == condition
    assert set(allowed) - set(statements(PLAN.reader_policy())) == {"FindReports", "ReadReports"}


def test_only_s3_may_send_and_only_for_this_bucket_of_this_account():
    [one] = PLAN.queue_policy()["Statement"]
    assert one["Principal"] == {"Service": "s3.amazonaws.com"}
    assert one["Condition"]["ArnLike"] == {"aws:SourceArn": "arn:aws:s3:::acme-docs"}
    assert one["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}


def test_the_filter_is_encoded_as_s3_compares_it():
    [rule] = PLAN.notification()["Filter"]["Key"]["FilterRules"]
    assert rule == {"Name": "prefix", "Value": "team+red/*/"}
    umlaut = AwsPlan(bucket="b", queue_name="q", prefix="ä+%/")
    [rule] = umlaut.notification()["Filter"]["Key"]["FilterRules"]
    assert rule["Value"] == "%C3%A4%2B%25/"
    assert "Filter" not in AwsPlan(bucket="b", queue_name="q").notification()


def test_a_bucket_that_tells_the_queue_already_is_left_alone():
    assert PLAN.told_already(PLAN.notification())
    whole = AwsPlan(bucket="b", queue_name=PLAN.queue_name, region=PLAN.region,
                    account=PLAN.account)  # fmt: skip
    assert PLAN.told_already(whole.notification())
    assert not whole.told_already(PLAN.notification())
    assert not PLAN.told_already({**PLAN.notification(), "Events": ["s3:ObjectCreated:*"]})
    assert not PLAN.told_already({**PLAN.notification(), "QueueArn": "arn:aws:sqs:x:1:other"})


def test_the_script_is_what_a_shell_reads(s3sync):
    answer = s3sync(
        "aws-setup", "s3://acme-docs/team red/", "--account", "123456789012",
        "--region", "cn-north-1",
    )  # fmt: skip
    assert (answer.code, answer.err) == (0, "")
    commands = [
        one
        for one in (shlex.split(line, comments=True) for line in joined(answer.out))
        if one[:1] == ["aws"]
    ]
    assert [one[1:3] for one in commands] == [
        ["sqs", "create-queue"],
        ["sqs", "create-queue"],
        ["s3api", "get-bucket-notification-configuration"],
        ["s3api", "put-bucket-notification-configuration"],
        ["iam", "create-policy"],
    ]
    attributes = json.loads(commands[1][commands[1].index("--attributes") + 1])
    dead = "arn:aws-cn:sqs:cn-north-1:123456789012:acme-docs-s3sync-dead"
    assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"] == dead
    assert "--queue-url https://sqs.cn-north-1.amazonaws.com.cn/123456789012/" in answer.out


def joined(script):
    """Yield commands; quoted line ends belong to them."""
    command = ""
    for line in script.splitlines():
        command += line + "\n"
        try:
            shlex.split(command, comments=True)
        except ValueError:
            continue
        yield command
        command = ""


def test_the_script_goes_where_the_source_has_its_bucket(s3sync):
    place, server = ["--bucket", "mine", "--collection", "mine"], "http://127.0.0.1:9000"
    made = s3sync("source", "create", "mine", *place, "--endpoint-url", server, "--no-check")
    assert made.code == 0
    script = s3sync("aws-setup", "mine", "--account", "123456789012", "--region", "eu-central-1")
    commands = [line for line in script.out.splitlines() if line.startswith("aws ")]
    assert len(commands) == 5
    assert all(line.startswith(f"aws --endpoint-url {server} ") for line in commands)
    assert f"--queue-url {server}/123456789012/mine-s3sync" in script.out


def test_the_script_makes_what_it_says_and_events_arrive(s3sync, aws_endpoint):
    """As printed, with the words of AWS's command line held against AWS's service models."""
    bucket = aws_endpoint.make_bucket("scripted")
    place = ["--bucket", bucket, "--prefix", "docs/", "--collection", bucket]
    server = aws_endpoint.url
    assert s3sync("source", "create", "scripted", *place, "--endpoint-url", server).code == 0
    where = ["--account", "123456789012", "--region", aws_endpoint.region]
    script = s3sync("aws-setup", "scripted", *where).out
    aws, _, last = script.rpartition("s3sync source edit scripted ")
    words = f'aws() {{ "{sys.executable}" -m s3sync_dagster_tests.documents.aws_words "$@"; }}'
    done = subprocess.run(
        ["bash", "-euc", f"{words}\n{aws}"], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    aws_endpoint.put(bucket, "docs/a.md", "hello")
    aws_endpoint.put(bucket, "elsewhere/b.md", "hello")
    url = last.split()[1]
    assert s3sync("source", "edit", "scripted", "--queue-url", url).code == 0
    told = []
    while found := aws_endpoint.sqs.receive_message(QueueUrl=url).get("Messages"):
        told += [json.loads(one["Body"]) for one in found]
        aws_endpoint.sqs.delete_message(QueueUrl=url, ReceiptHandle=found[0]["ReceiptHandle"])
    keys = [record["s3"]["object"]["key"] for one in told for record in one.get("Records", [])]
    assert [unquote_plus(key) for key in keys] == ["docs/a.md"]


def test_what_is_not_known_is_said(s3sync):
    answer = s3sync("aws-setup", "s3://acme-docs")
    assert "ACCOUNT_ID" in answer.out
    assert "--account" in answer.err


def test_apply_makes_events_arrive_and_keeps_other_notifications(s3sync, aws_endpoint, monkeypatch):
    bucket = aws_endpoint.make_bucket("applied")
    other = aws_endpoint.make_queue("other")
    aws_endpoint.s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "QueueConfigurations": [
                {
                    "Id": "somebody-elses",
                    "QueueArn": aws_endpoint.queue_arn(other),
                    "Events": ["s3:ObjectCreated:*"],
                    "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "logs/"}]}},
                }
            ]
        },
    )
    created = s3sync(
        "source", "create", "applied", "--bucket", bucket, "--prefix", "docs/",
        "--collection", "applied", "--endpoint-url", aws_endpoint.url,
    )  # fmt: skip
    assert created.code == 0
    answer = s3sync("aws-setup", "applied", "--apply", "--json")
    assert answer.code == 0, answer.err
    url = answer.json["queue_url"]
    assert s3sync("aws-setup", "applied", "--apply", "--json").json["queue_url"] == url
    there = aws_endpoint.s3.get_bucket_notification_configuration(Bucket=bucket)
    names = sorted(one["Id"] for one in there["QueueConfigurations"])
    assert [name.rpartition("-")[0] for name in names] == [f"s3sync-{bucket}-s3sync", "somebody"]
    other = ["aws-setup", f"s3://{bucket}/manuals/", "--apply", "--json"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint.url)
    assert s3sync(*other).json["queue_url"] == url
    there = aws_endpoint.s3.get_bucket_notification_configuration(Bucket=bucket)
    assert len(there["QueueConfigurations"]) == 3
    aws_endpoint.put(bucket, "docs/a.md", "hello")
    aws_endpoint.put(bucket, "elsewhere/b.md", "hello")
    keys = []
    while messages := aws_endpoint.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
        "Messages"
    ):
        for message in messages:
            for record in json.loads(message["Body"]).get("Records", []):
                keys.append(record["s3"]["object"]["key"])
            aws_endpoint.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert [unquote_plus(key) for key in keys] == ["docs/a.md"]
    got = aws_endpoint.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    assert json.loads(got["Attributes"]["RedrivePolicy"])["maxReceiveCount"] == 5
    assert s3sync("source", "edit", "applied", "--queue-url", url).code == 0
    assert s3sync("source", "show", "applied", "--json").json["queue_url"] == url


def test_a_queue_of_another_region_is_read_after_the_command_that_is_printed(
    s3sync, aws_endpoint, monkeypatch
):
    bucket = f"away-{uuid.uuid4().hex[:8]}"
    place = {"LocationConstraint": "eu-west-3"}
    aws_endpoint.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    aws_endpoint.put(bucket, "a.md", "hello")
    made = ["source", "create", "away", "--bucket", bucket, "--collection", "away"]
    assert s3sync(*made, "--endpoint-url", aws_endpoint.url).code == 0
    said = s3sync("aws-setup", "away", "--apply").err
    [command] = re.findall(r"^Then: s3sync (.*)$", said, flags=re.MULTILINE)
    url = shlex.split(command)[4]
    assert command == f"source edit away --queue-url {url} --region eu-west-3"
    assert s3sync("source", "edit", "away", "--queue-url", url).code == 0
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)

    def read():
        checks = s3sync("doctor", "--json").json
        return next(one["text"] for one in checks if one["name"] == "queue of away")

    assert "does not exist in region 'us-east-1'" in read()
    assert s3sync(*shlex.split(command)).code == 0
    assert "messages wait" in read()


def test_a_refusal_is_told_in_one_sentence(s3sync, aws_endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint.url)
    answer = s3sync("aws-setup", "s3://nobody-has-this-bucket/", "--apply", "--region", "eu-west-1")
    assert answer.code == 1
    assert "Traceback" not in answer.err
    assert "nobody-has-this-bucket" in answer.err


@pytest.mark.parametrize("bucket", ["a.b.c", "x" * 63])
def test_queue_names_are_such_as_sqs_takes(bucket):
    name = queue_name_for(bucket)
    assert len(name + "-dead") <= 80
    assert "." not in name
