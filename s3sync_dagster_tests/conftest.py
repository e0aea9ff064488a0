"""Fixtures of all rooms. Each module starts one real part."""

pytest_plugins = [
    "s3sync_dagster_tests.conftest_aws",
    "s3sync_dagster_tests.conftest_chroma",
    "s3sync_dagster_tests.conftest_catalog",
    "s3sync_dagster_tests.conftest_stack",
    "s3sync_dagster_tests.conftest_defs",
]
