"""Where people find an object: the page of the AWS console, or its address on another server."""

from urllib.parse import quote, urlencode, urlsplit

from s3sync_dagster.model.source import Source


def object_link(source: Source, key: str) -> str | None:
    """Return a URL for a browser; None for sources that are no bucket."""
    if source.type != "s3":
        return None
    if source.endpoint_url is None:
        query = {"prefix": key} | ({"region": source.region} if source.region else {})
        return f"https://console.aws.amazon.com/s3/object/{source.bucket_name}?{urlencode(query)}"
    endpoint = urlsplit(source.endpoint_url)
    host, folder = endpoint.netloc.rpartition("@")[2], endpoint.path.rstrip("/")
    if source.addressing_style == "virtual":
        host = f"{source.bucket_name}.{host}"
    else:
        folder = f"{folder}/{source.bucket_name}"
    return f"{endpoint.scheme}://{host}{folder}/{quote(key)}"
