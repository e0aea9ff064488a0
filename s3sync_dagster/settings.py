"""The environment, read once into a frozen value. No other module touches ``os.environ``."""

import base64
import binascii
import json
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from s3sync_dagster.core.reservation import MAX_LIVE
from s3sync_dagster.core.shards import PARTITIONS_PER_ASSET
from s3sync_dagster.model.embedding_kinds import CPU, DEVICES
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import EmbeddingConfig

EVENT_BATCH_SIZE = 100
"""Asset events that Dagster hands to its storage at once (2.7 instead of 14 CPU-ms a key)."""
MAX_EMBEDDING_WORKERS = 256
CHECKED_RECORDS_PER_DAY = 5000
MOST_CHECKED_RECORDS = 1_000_000
MOST_OBJECTS = 10**12
RUNS_OF_TENANT = 1
"""Of three places: two tenants whose texts take hours to embed leave one to all others."""
MOST_RUNS = 10_000
MOST_PARTITIONS = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment decides; paths are absolute, secrets stay out of ``repr``."""

    home: Path
    """``S3SYNC_HOME``: all local data; ``~/.s3sync`` when not set."""
    dagster_home: Path
    """``DAGSTER_HOME``; ``HOME/dagster`` when not set."""
    database_url: str = field(repr=False)
    """``S3SYNC_DATABASE_URL``, the catalog as SQLAlchemy names it; may hold a password."""
    chroma_url: str | None = None
    """``S3SYNC_CHROMA_URL``; None: the local Chroma of this home."""
    model_dir: Path | None = None
    """``S3SYNC_MODEL_DIR``: a folder that holds the embedding model's files."""
    embedding_workers: int | None = None
    """``S3SYNC_EMBEDDING_WORKERS``: batches that a local model infers side by side, a core each;
    None: half of the cores, since Chroma and extraction need some too."""
    embedding_device: str = CPU
    """``S3SYNC_EMBEDDING_DEVICE``: ``cuda`` has ONNX Runtime run local models on a graphics card,
    which gives the same vectors."""
    checked_records_per_day: int = CHECKED_RECORDS_PER_DAY
    """``S3SYNC_CHECKED_RECORDS_PER_DAY``: of each source and collection, looked up in Chroma and
    held against the catalog; 0: none."""
    objects_per_tenant: int | None = None
    """``S3SYNC_OBJECTS_PER_TENANT``: of all sources of a tenant that is not trusted, and as many
    documents; None: any number."""
    runs_per_tenant: int = RUNS_OF_TENANT
    """``S3SYNC_RUNS_PER_TENANT``: live batches of all sources of a tenant that is not trusted."""
    runs_per_source: int = MAX_LIVE
    """``S3SYNC_RUNS_PER_SOURCE``: live batches of a source, and one more for people and events."""
    partitions_per_asset: int = PARTITIONS_PER_ASSET
    """``S3SYNC_PARTITIONS_PER_ASSET``: a source with more keys has further assets in Dagster."""
    embedding_prices: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """``S3SYNC_EMBEDDING_PRICES``, a JSON object: model -> what a million tokens cost."""
    reranker: str | None = None
    """``S3SYNC_RERANKER``: folder or name of a cross-encoder that orders hybrid hits anew."""
    chroma_api_key: str | None = field(default=None, repr=False)
    """``CHROMA_API_KEY`` of Chroma Cloud."""
    chroma_headers: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), repr=False
    )
    """``S3SYNC_CHROMA_HEADERS``, a JSON object: for a proxy before the server."""
    chroma_tenant: str | None = None
    """``CHROMA_TENANT`` of Chroma Cloud."""
    chroma_database: str | None = None
    """``CHROMA_DATABASE`` of Chroma Cloud."""
    chroma_embed_url: str | None = None
    """``CHROMA_EMBED_URL``: an endpoint that speaks Chroma Cloud's embedding protocol."""
    encryption_key: str | None = field(default=None, repr=False)
    """``S3SYNC_ENCRYPTION_KEY`` (Fernet); None: the key file of this home."""
    environment: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, compare=False
    )
    """All variables as they were read, for secrets that a source names and for children."""

    @property
    def encryption_key_file(self) -> Path:
        """Where ``prepare_home`` keeps the key when the environment gives none."""
        return self.home / "encryption.key"

    @property
    def init_lock(self) -> Path:
        """What ``prepare_home`` locks, and leaves: without it this home never had a key."""
        return self.home / ".init.lock"

    @property
    def runs_socket(self) -> Path:
        """Where the process listens from which run workers are forked."""
        return self.home / "runs.sock"

    @property
    def model_dir_fault(self) -> str | None:
        """Why nothing is found in ``model_dir``; None: it is a folder, or none is named."""
        if self.model_dir is None or self.model_dir.is_dir():
            return None
        return (
            f"S3SYNC_MODEL_DIR names {str(self.model_dir)!r}, which is no folder: models are "
            "looked for elsewhere; correct it, or make the folder."
        )

    def variable(self, name: str) -> str:
        """Return a variable that a source's configuration names.

        Raises:
            InvalidSetting: it is not set or empty.
        """
        value = self.environment.get(name, "")
        if not value:
            raise InvalidSetting(f"The environment variable {name!r} is not set.")
        return value

    def price_of(self, embedding: EmbeddingConfig) -> float | None:
        """Return what a million tokens of a model cost, None where nobody has said it."""
        return self.embedding_prices.get(embedding.model or embedding.kind)

    def with_chroma_url(self, url: str) -> "Settings":
        """Return these settings with the Chroma server that was found or started."""
        return replace(self, chroma_url=url)

    def child_environment(self) -> dict[str, str]:
        """Return the environment in which our processes find these settings again."""
        # A yaml.py in the folder where somebody works is none of our modules.
        fixed = {"DO_NOT_TRACK": "1", "PYTHONSAFEPATH": "1"}
        return {**self.environment, **self._exported(), **fixed}

    def _exported(self) -> dict[str, str]:
        values = {
            "S3SYNC_HOME": str(self.home),
            "S3SYNC_DATABASE_URL": self.database_url,
            "DAGSTER_HOME": str(self.dagster_home),
            "DAGSTER_EVENT_BATCH_SIZE": str(EVENT_BATCH_SIZE),
        }
        if self.chroma_url:
            values["S3SYNC_CHROMA_URL"] = self.chroma_url
        return values


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; an empty variable counts as not set.

    Raises:
        InvalidSetting: a value breaks its rule; the message names the variable.
    """
    home = _folder(environ, "S3SYNC_HOME") or Path.home() / ".s3sync"
    return Settings(
        home=home,
        dagster_home=_folder(environ, "DAGSTER_HOME") or home / "dagster",
        database_url=environ.get("S3SYNC_DATABASE_URL") or f"sqlite:///{home / 'catalog.db'}",
        chroma_url=_url(environ, "S3SYNC_CHROMA_URL"),
        model_dir=_folder(environ, "S3SYNC_MODEL_DIR"),
        embedding_workers=_limit(environ, "S3SYNC_EMBEDDING_WORKERS", most=MAX_EMBEDDING_WORKERS),
        embedding_device=_device(environ, "S3SYNC_EMBEDDING_DEVICE"),
        checked_records_per_day=_checked_records(environ),
        objects_per_tenant=_limit(environ, "S3SYNC_OBJECTS_PER_TENANT", most=MOST_OBJECTS),
        runs_per_tenant=_limit(environ, "S3SYNC_RUNS_PER_TENANT", most=MOST_RUNS) or RUNS_OF_TENANT,
        runs_per_source=_limit(environ, "S3SYNC_RUNS_PER_SOURCE", most=MOST_RUNS) or MAX_LIVE,
        partitions_per_asset=_limit(environ, "S3SYNC_PARTITIONS_PER_ASSET", most=MOST_PARTITIONS)
        or PARTITIONS_PER_ASSET,
        embedding_prices=_prices(environ, "S3SYNC_EMBEDDING_PRICES"),
        reranker=environ.get("S3SYNC_RERANKER") or None,
        chroma_api_key=environ.get("CHROMA_API_KEY") or None,
        chroma_headers=_headers(environ, "S3SYNC_CHROMA_HEADERS"),
        chroma_tenant=environ.get("CHROMA_TENANT") or None,
        chroma_database=environ.get("CHROMA_DATABASE") or None,
        chroma_embed_url=_url(environ, "CHROMA_EMBED_URL"),
        encryption_key=_fernet_key(environ.get("S3SYNC_ENCRYPTION_KEY", ""), "The variable"),
        environment=MappingProxyType(dict(environ)),
    )


def read_encryption_key(settings: Settings) -> str:
    """Return the Fernet key of the environment, else that of the home's key file.

    Raises:
        InvalidSetting: there is none, or the file holds something else.
    """
    if settings.encryption_key:
        return settings.encryption_key
    path = settings.encryption_key_file
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        text = ""
    key = _fernet_key(text, f"The file {str(path)!r} for")
    if key is None and not settings.init_lock.exists():
        raise InvalidSetting(
            "There is no encryption key yet: set S3SYNC_ENCRYPTION_KEY, or run `s3sync status` "
            f"once, which makes {str(path)!r}."
        )
    if key is None:
        raise InvalidSetting(
            f"There is no encryption key: set S3SYNC_ENCRYPTION_KEY, or bring back {str(path)!r}."
        )
    return key


def export_settings(settings: Settings, environ: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables that Dagster reads in this process itself, for one-shot runs."""
    environ.update(settings._exported())


def _folder(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name, "")
    return Path(value).expanduser().absolute() if value else None


def _checked_records(environ: Mapping[str, str]) -> int:
    name = "S3SYNC_CHECKED_RECORDS_PER_DAY"
    value = environ.get(name, "").strip()
    if not value:
        return CHECKED_RECORDS_PER_DAY
    if not value.isdecimal() or int(value) > MOST_CHECKED_RECORDS:
        raise InvalidSetting(f"{name} is not a number from 0 to {MOST_CHECKED_RECORDS}.")
    return int(value)


def _limit(environ: Mapping[str, str], name: str, *, most: int) -> int | None:
    value = environ.get(name, "").strip()
    if not value:
        return None
    if not value.isdecimal() or not 1 <= int(value) <= most:
        raise InvalidSetting(f"{name} is not a number from 1 to {most}.")
    return int(value)


def _device(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip() or CPU
    if value not in DEVICES:
        raise InvalidSetting(f"{name} is not one of {', '.join(DEVICES)}.")
    return value


def _headers(environ: Mapping[str, str], name: str) -> Mapping[str, str]:
    try:
        values = json.loads(environ.get(name) or "{}")
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(one, str) for one in values.values()):
        # They may hold a token: they are not repeated.
        raise InvalidSetting(f'{name} is not a JSON object such as {{"Authorization": "..."}}.')
    return MappingProxyType(values)


def _prices(environ: Mapping[str, str], name: str) -> Mapping[str, float]:
    try:
        values = json.loads(environ.get(name) or "{}")
        prices = {str(model): float(price) for model, price in values.items()}
    except (AttributeError, TypeError, ValueError):
        prices = None
    if prices is None or not all(0 <= price < 1e9 for price in prices.values()):
        raise InvalidSetting(
            f"{name} is not a JSON object of models and what a million tokens cost, such as "
            '{"text-embedding-3-small": 0.02}.'
        )
    return MappingProxyType(prices)


def _url(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name, "").strip().rstrip("/")
    if not value:
        return None
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # raises for what is no number
    except ValueError:
        valid = False
    if not valid:
        # The value may hold a password: it is not repeated.
        raise InvalidSetting(f"{name} is not a URL such as http://127.0.0.1:8000.")
    return value


def _fernet_key(text: str, where: str) -> str | None:
    key = text.strip()
    if not key:
        return None
    try:
        valid = len(base64.urlsafe_b64decode(key)) == 32
    except (binascii.Error, ValueError):
        valid = False
    if not valid:
        raise InvalidSetting(
            f"{where} S3SYNC_ENCRYPTION_KEY holds no Fernet key (32 bytes in URL-safe base64)."
        )
    return key
