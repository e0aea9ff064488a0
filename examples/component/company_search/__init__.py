"""A Dagster project whose sources are written in YAML."""
