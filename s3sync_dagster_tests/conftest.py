"""Fixtures that every room may use."""

pytest_plugins = ["s3sync_dagster_tests.conftest_chroma"]
