"""A source of another product: what of it is ours, and what has no counterpart."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from s3sync_dagster.core.source_identity import server_name
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.key_ids import SHORT_NAME

_MASK = re.compile(r"[*•●]{2,}|\A[*•●]\Z")
"""Stands in a key, or in a part of it, that is not shown; no key of AWS has such characters."""
_OURS = "S3SYNC_"
_SECRET = re.compile(
    r"SECRET|TOKEN|PASSW|PRIVATE|API_?KEY|HEADERS|AZURE|SHARED|SIGN|MASTER|SESSION|BUNNY|WEBHOOK"
    r"|(?:\A|_)SAS(?:_|\Z)|SERVICE_?BUS|EVENT_?HUB|COSMOS",
    re.IGNORECASE,
)
"""In the name of a variable that is no key's id: an id goes in the clear to whichever server a
file names, a secret never does. So CHROMA_API_KEY, AWS_SECRET_ACCESS_KEY and their like."""
MAX_WHOLE = 2**53
"""Up to here each whole number has a float of its own."""
_ID = re.compile(
    r"ACCESS_?KEY_?ID|(?:\A|_)(?:KEY)?ID\d*\Z|ACCESS_?KEY\d*\Z|USER(?:NAME)?\d*\Z", re.IGNORECASE
)
"""In the name of a variable that may be the id of a key. What secrets are called nobody can list:
GITHUB_PAT, DATABASE_URL, STRIPE_SK."""
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """The keys of a bucket as a file has them: themselves, or the names of variables."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)

    @property
    def variables(self) -> tuple[str, str] | None:
        """The variables' names, where both are written as ``${NAME}``."""
        found = [_VARIABLE.fullmatch(one) for one in (self.access_key_id, self.secret_access_key)]
        return (found[0][1], found[1][1]) if found[0] and found[1] else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One source of a file."""

    label: str
    """What it is there, such as ``Coco datasource 'Docs'``."""
    type: str
    """Tag of its place."""
    fields: Mapping[str, Any]
    """Settings by their names in the Sync API."""
    name: str
    """From which ours is made."""
    database: str | None = None
    embedding: Mapping[str, Any] | None = None
    """As the Sync API has it."""
    chunking: Mapping[str, Any] | None = None
    keys: KeyPair | None = None
    paused: bool = False
    left_out: Sequence[str] = ()
    """A sentence for each thing that has no counterpart, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotWanted:
    """One of which no source can be made."""

    label: str
    why: str


def whole_number(value: object) -> object:
    """Return a float that is whole as its whole number, anything else as it is.

    Clients write numbers so that know of no others.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_WHOLE:
        return int(value)
    return value


class Reader:
    """Takes fields out of a JSON object, and knows which ones nobody took."""

    def __init__(self, given: object, *, at: str) -> None:
        """Take an object.

        Args:
            given: it.
            at: where it stands, for messages.

        Raises:
            InvalidSetting: it is none.
        """
        if not isinstance(given, Mapping):
            raise InvalidSetting(f"{at} is no JSON object.")
        self._given: dict[str, Any] = {str(name): value for name, value in given.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        self._at = at

    def take(self, name: str, kind: type | tuple[type, ...] = str) -> Any:
        """Return a value, None where it is missing or null. Raises ``InvalidSetting``."""
        value = self._given.pop(name, None)
        wrong = value is not None and not isinstance(value, kind)
        if wrong or (isinstance(value, bool) and kind is not bool):
            raise InvalidSetting(f"{self._at}{name} is of another type than it should be.")
        self._require_text(name, value)
        return value

    def whole(self, name: str) -> int | None:
        """Return a whole number, also where it is written as a float: ``50.0``."""
        self._given[name] = whole_number(self._given.get(name))
        return self.take(name, int)

    def text(self, name: str) -> str | None:
        """Return a text that says something."""
        return self.take(name) or None

    def texts(self, name: str) -> list[str]:
        """Return a list of texts, empty where it is missing."""
        found = self.take(name, list) or []
        if not all(isinstance(one, str) for one in found):
            raise InvalidSetting(f"{self._at}{name} is no list of texts.")
        self._require_text(name, *found)
        return found

    def _require_text(self, name: str, *values: object) -> None:
        try:
            for one in values:
                if isinstance(one, str):
                    one.encode()
        except UnicodeEncodeError:
            raise InvalidSetting(f"{self._at}{name} has half a character in it.") from None

    def ignore(self, *names: str) -> None:
        """Pass over what says nothing about how a source works."""
        for name in names:
            self._given.pop(name, None)

    def left(self, reasons: Mapping[str, str]) -> list[str]:
        """Return a sentence for each field that says something and that nobody took."""
        said = {name: value for name, value in self._given.items() if value not in (None, "", [])}
        return [
            f"{self._at}{ascii(name)[1:-1][:80]}: {reasons.get(name, 'is not known here')}"
            for name in said
        ]

    def require_nothing_left(self) -> None:
        """Refuse with ``InvalidSetting`` a field that nobody took."""
        if left := self.left({}):
            raise InvalidSetting(f"{left[0]}.")


def key_pair(given: Reader, id_name: str, secret_name: str) -> KeyPair | None:
    """Return a pair of keys; None where there is none, or a mask in place of a part of both.

    Raises:
        InvalidSetting: one of the two alone, one of them as ``${NAME}`` and the other one not, or
            a variable that is a setting of this program's own, or an id's that is a secret's or
            does not say that it is an id's.
    """
    key_id, secret = (
        None if one is None or _MASK.search(one) else one
        for one in map(given.text, (id_name, secret_name))
    )
    if key_id is None and secret is None:
        return None
    if key_id is None or secret is None:
        raise InvalidSetting(
            f"{id_name} and {secret_name} have to come together, and neither of them masked."
        )
    pair = KeyPair(access_key_id=key_id, secret_access_key=secret)
    if pair.variables is None and ("${" in key_id or "${" in secret):
        raise InvalidSetting(
            f"{id_name} and {secret_name} have to be ${{NAME}} both, or neither: a variable beside "
            "a key is not read."
        )
    if pair.variables and (own := [one for one in pair.variables if one.startswith(_OURS)]):
        raise InvalidSetting(
            f"${{{own[0]}}} is a setting of s3sync, and goes to no server that a file names: "
            "give the keys a variable of their own."
        )
    if pair.variables and (_SECRET.search(pair.variables[0]) or len({*pair.variables}) == 1):
        raise holds_a_secret(pair.variables[0], "by its name, or as the file has it")
    if pair.variables and not (
        _ID.search(pair.variables[0]) or SHORT_NAME.search(pair.variables[0])
    ):
        raise holds_a_secret(
            pair.variables[0], "for all that its name says: an id's ends in ID, ACCESS_KEY or USER"
        )
    return pair


def holds_a_secret(variable: str, of: str) -> InvalidSetting:
    """Return the refusal of a variable as the id of a key.

    Args:
        variable: its name.
        of: by what it is one of a secret.
    """
    return InvalidSetting(
        f"${{{variable}}} is a secret's ({of}), and the id of a key goes in the clear to the "
        "server that a file names: give the id a variable of its own."
    )


def refuse_secrets_in(url: object, *, query: bool = False) -> None:
    """Refuse with ``InvalidSetting`` an address that has a secret in it, without showing it.

    Args:
        url: an address, or a name that stands where one may stand; what is no text passes.
        query: whether the address may have one; that of a service has none.
    """
    if not isinstance(url, str):
        return
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where a password with a slash in it stands there
        named = "@" in parts.netloc and (parts.scheme != "ssh" or parts.password is not None)
        named = named or "://" not in url and ":" in url.split("/")[0].rpartition("@")[0]
        inside = named or (bool(parts.query or parts.fragment) and not query)
    except ValueError:
        inside = True
    if inside:
        raise InvalidSetting(
            "Its endpoint or another address of it is none, or has a user, a password or a query "
            "in it: secrets belong into `s3sync credential create`."
        )


def shown_address(text: str) -> str:
    """Return an address as it may be shown and kept as a name: without user and query."""
    plain = re.split(r"[?#]", text, maxsplit=1)[0]
    before, mark, rest = plain.partition("://")
    if not mark:
        return plain.rpartition("@")[2]
    host, slash, path = rest.partition("/")
    return f"{before}{mark}{host.rpartition('@')[2]}{slash}{path}"


def ids_of(bucket: str, endpoint: str | None) -> str:
    """Return what the record ids of a bucket begin with: another one may fill its collection.

    There, documents of two buckets were two, whatever their keys.
    """
    digest = hashlib.sha256(f"{server_name(endpoint)}\0{bucket}".encode()).hexdigest()
    return f"{digest[:8]}-"


def collection_called(product: str, text: str | None) -> str:
    """Return the collection for what a person called it there."""
    if not text:
        return product
    plain = re.sub(r"[^a-zA-Z0-9._-]+|\.\.+", "-", text)[:80].strip("._-")
    if plain == text:
        return f"{product}-{plain}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{product}-{plain}-{digest}".replace("--", "-")
