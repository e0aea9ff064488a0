"""Files as the products' own clients write them."""

import json

from supermemory.types import ConnectionGetByIDResponse

from s3sync_dagster.moving.reading import read_configuration
from s3sync_dagster.moving.wanted import Wanted


def test_what_supermemorys_client_writes_of_a_connection_is_read():
    """Its numbers are floats: 5000 of the answer is 5000.0 in what it writes."""
    answer = {
        "id": "x",
        "createdAt": "2026-01-01",
        "provider": "s3",
        "documentLimit": 5000,
        "metadata": {"bucket": "b", "region": "us-east-1"},
    }
    shown = ConnectionGetByIDResponse.model_validate(answer).model_dump_json(by_alias=True)
    assert json.loads(shown)["documentLimit"] == 5000
    (read,) = read_configuration(f"[{shown}]".encode())
    assert isinstance(read, Wanted), read
    assert read.fields["document_limit"] == 5000
