"""``s3sync``: parse, call, print."""
