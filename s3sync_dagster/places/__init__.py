"""Places besides buckets and uploads: each a value and its store."""
