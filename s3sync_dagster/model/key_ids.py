"""Ids of keys: they go in the clear to the server that is asked, a secret never does."""

import re

SHORT_NAME = re.compile(
    r"(?:\A|_)(?:S3|AWS|SPACES|DO|WASABI|MINIO|R2|B2|SCW|LINODE|VULTR|HETZNER|OVH|OSS|COS|GCS)_KEY\d*\Z",
    re.IGNORECASE,
)
"""Of a variable that holds an id in the examples of some providers, and a secret elsewhere."""
_MOST_CHARACTERS = 128
_NO_ID = re.compile(r"=|://|[;\s\x00-\x1f]|\A(?=.*[/+])[A-Za-z0-9/+]{40,}\Z")
"""Padding of base64, an address, what no header takes, and secrets as AWS gives them. Ids of other
services may be names: ``account:user`` with OpenStack."""
_SECRET = re.compile(
    r"sk-|sk_|rk_|gh[a-z]_|github_pat_|glpat-|xox[a-z]-|hf_|AIza|eyJ|SG\.|npm_|pypi-|dop_v1_|shp[a-z]+_"
    r"|whsec_|r8_|gsk_|xai-|-----"
)
"""Begins secrets of well-known services."""
_SHORT_ID = re.compile(r"[A-Za-z0-9._@:-]{1,32}")
"""As AWS, DigitalOcean, Wasabi, Backblaze and Cloudflare give them, or a user's name with MinIO;
their secrets are longer."""


def looks_like_id(value: str, *, variable: str) -> bool:
    """Return whether the value of a variable may be the id of a key.

    Args:
        value: of it.
        variable: its name; one that says less of what it holds holds a short id.
    """
    if SHORT_NAME.search(variable):
        return _SHORT_ID.fullmatch(value) is not None
    none = len(value) > _MOST_CHARACTERS or _NO_ID.search(value) or _SECRET.match(value)
    return not none
