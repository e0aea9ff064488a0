"""The command line, as the tests of ``cli`` call it."""

from s3sync_dagster_tests.cli.conftest import environment, fresh_home, home, s3sync

__all__ = ["environment", "fresh_home", "home", "s3sync"]
