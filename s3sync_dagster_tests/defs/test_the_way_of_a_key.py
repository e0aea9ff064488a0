"""The way of one key, from an SQS message to Dagster's events, is short enough to be known.

Walked along the product's own calls: each function counts once, where it is called first.
"""

import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

import s3sync_dagster

HOUSE = Path(s3sync_dagster.__file__).parent
OUTSIDE = ("ports", "extraction", "chunking", "embedding", "workers", "model")
"""Rooms behind a port or of values: the way leads to their door, not through them."""
PLUMBING = ("catalog/schema", "catalog/database", "catalog/rows", "catalog/key_text", "settings")
MOST_FILES, MOST_RETURNS = 58, 102
"""What it is today: lower them when the way gets shorter, never the other way."""


class Walk:
    """Files of the product in the order in which their functions are called first."""

    def __init__(self) -> None:
        self._seen: set[object] = set()
        self.files: list[str] = []

    def __enter__(self) -> Self:
        threading.setprofile(self._called)
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _called(self, frame, event, _argument) -> None:
        code = frame.f_code
        if event != "call" or code in self._seen:
            return
        self._seen.add(code)
        if code.co_name.startswith("<"):  # modules, lambdas, comprehensions
            return
        path = Path(code.co_filename)
        if HOUSE in path.parents:
            name = path.relative_to(HOUSE).with_suffix("").as_posix()
            if not name.startswith((*OUTSIDE, *PLUMBING)) and not name.endswith("__init__"):
                self.files.append(name)

    def distinct(self) -> list[str]:
        return list(dict.fromkeys(self.files))

    def returns(self) -> list[str]:
        """Files that the walk comes back to after it had left them."""
        left: set[str] = set()
        found: list[str] = []
        for before, after in zip(self.files, self.files[1:], strict=False):
            if after != before:
                left.add(before)
                if after in left:
                    found.append(after)
        return found


@pytest.fixture
def world(defs_world):
    return defs_world


def test_the_way_of_a_key_is_short(world):
    queue = world.aws.make_queue(bucket=world.bucket)
    world.source = replace(world.source, place=replace(world.source.place, queue_url=queue))
    world.catalog.sources.update(world.source)
    repository = world.defs.get_repository_def()
    name = next(one.name for one in repository.sensor_defs if "intake" in one.name)
    world.aws.put(world.bucket, "docs/new.md", "# New")
    with Walk() as walk:
        (request,) = world.tick(name).run_requests
        job = world.defs.resolve_job_def(request.job_name)
        result = job.execute_in_process(
            run_config=request.run_config,
            tags=dict(request.tags),
            instance=world.instance,
            raise_on_error=False,
        )
    assert result.success
    assert world.indexed_keys() == {"docs/new.md"}
    way = walk.distinct(), walk.returns()
    assert len(way[0]) <= MOST_FILES, way
    assert len(way[1]) <= MOST_RETURNS, way
