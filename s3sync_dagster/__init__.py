"""Keep Chroma collections in step with S3 buckets, on Dagster."""

__version__ = "0.1.0"
