"""``aws`` for the documents: their words, held against AWS's own service models and sent for real.

The command line of AWS pins another botocore than ours, so it cannot be installed beside us. Words
become parameters by the same models as there: what is misspelt, or no parameter, is refused.
"""

import json
import sys
from typing import Any

import boto3
from botocore import xform_name


def main(words: list[str]) -> None:
    """Do what ``aws WORDS`` does."""
    where: dict[str, Any] = {}
    for option, name in (("--endpoint-url", "endpoint_url"), ("--region", "region_name")):
        if option in words:
            at = words.index(option)
            where[name] = words[at + 1]
            words = words[:at] + words[at + 2 :]
    if words[:2] == ["s3", "cp"]:
        path, target = words[2:]
        bucket, _, key = target.removeprefix("s3://").partition("/")
        boto3.client("s3", **where).upload_file(path, bucket, key)
        return
    service, command, *options = words
    client: Any = boto3.client("s3" if service == "s3api" else service, **where)  # type: ignore[call-overload]
    operations = {xform_name(name, "-"): name for name in client.meta.service_model.operation_names}
    shape = client.meta.service_model.operation_model(operations[command]).input_shape
    members = {xform_name(name, "-"): (name, one) for name, one in shape.members.items()}
    given: dict[str, Any] = {}
    for option, text in zip(options[::2], options[1::2], strict=True):
        name, member = members[option.removeprefix("--")]
        given[name] = _value(member.type_name, text)
    answer = getattr(client, xform_name(operations[command]))(**given)
    answer.pop("ResponseMetadata")
    if answer:
        print(json.dumps(answer, indent=2, default=str))


def _value(kind: str, text: str) -> Any:
    if kind in ("structure", "list") or text.startswith("{") and kind == "map":
        return json.loads(text)
    if kind == "map":
        return dict(one.split("=", 1) for one in text.split(","))
    return int(text) if kind in ("integer", "long") else text


if __name__ == "__main__":
    main(sys.argv[1:])
