"""A repository that git can fetch: the files of a branch, tag or commit are objects."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import quote, urlsplit

from s3sync_dagster.model.errors import AccessDenied, InvalidSetting
from s3sync_dagster.model.place import Admission, Place, PlaceIdentity, told

if TYPE_CHECKING:
    from s3sync_dagster.engine.store_ports import ObjectStore
    from s3sync_dagster.model.source import Source
    from s3sync_dagster.ports.places import Surroundings

GIT_PROTOCOLS = "S3SYNC_GIT_PROTOCOLS"
"""Protocols that git may speak; ``https ssh`` when not set. ``file`` reads this disk."""
GIT_MAX_BYTES = "S3SYNC_GIT_MAX_BYTES"
DEFAULT_MAX_BYTES = 4 * 1024**3
"""Of the copy of one repository."""
COPIES = "git"
"""Folder of the home in which the copies lie."""
UNUSED_SECONDS = 30 * 86_400.0
_KNOWN = frozenset({"https", "ssh", "http", "file"})
_GITHUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9._-]+")
_SCP = re.compile(r"(?:([A-Za-z0-9_.-]+)@)?([A-Za-z0-9_.-]+):(?![/:])(\S+)")
"""``host::path`` would be the name of one of git's helper programs."""
_SHARED = "git"
"""User of hosts on which a path names the same repository for all and in each form."""
_HOME = re.compile(r"~[^/]*/")
_URL = re.compile(r"(?:https?|ssh|file)://[^\s?#]+")
_HOST = re.compile(r"[A-Za-z0-9](?:[\w.-]*\w)?|[0-9a-fA-F:.]+", re.ASCII)
"""As git and we read it alike: git unescapes ``%``, and folds dots and letters of other alphabets,
so that it would ask another host than the one that was looked at."""
_REF = re.compile(r"(?![-/.])(?!.*(?:\.\.|//|@\{|\.lock\Z|/\Z|\.\Z))[^\s\x00-\x20~^:?*\[\\\x7f]+")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.IGNORECASE)
_BLOBS = {"github.com": "/blob/", "gitlab.com": "/-/blob/", "codeberg.org": "/src/commit/"}
"""What stands between repository and commit in a page's address, of hosts that are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitPlace(Place):
    """A repository and a ref; the tag is the contract's, whichever server has it."""

    repository: str = field(
        metadata=told(
            "OWNER/REPO at GitHub, or any URL that git fetches.",
            metavar="REPOSITORY",
            fixed=True,
            contract="github.repository",
        )
    )
    ref: str | None = field(
        default=None, metadata=told("Branch, tag or commit; the repository's own when not given.")
    )
    path_prefix: str = ""
    """Plain starts-with on the path."""
    text_only: bool = field(
        default=True,
        metadata=told("Leave alone what is no UTF-8 text, such as PDF.", kind="flag"),
    )
    token_env: str | None = field(
        default=None,
        metadata=told("Variable with a token that may read it.", metavar="NAME", server=True),
    )
    saved_token: int | None = field(
        default=None,
        metadata=told(
            "Id of `s3sync credential create`: user name and token as key id and secret.",
            kind="whole",
            least=1,
            metavar="ID",
        ),
    )
    webhook_secret: int | None = field(
        default=None,
        metadata=told(
            "Id of `s3sync credential create` whose secret signs GitHub's webhooks of pushes.",
            kind="whole",
            least=1,
            metavar="ID",
        ),
    )
    type: str = "github"
    kind: ClassVar[str] = "git"
    names_collection: ClassVar[bool] = True
    form: ClassVar[str] = "github:OWNER/REPO[#REF] or URL.git[#REF]"

    @classmethod
    def read(cls, text: str) -> "GitPlace | None":
        """Return the repository that a person wrote."""
        plain, hash_, ref = text.partition("#")
        named = plain.removeprefix("github:") if plain.startswith("github:") else None
        written = plain.removeprefix("git+")
        known = _URL.fullmatch(written) is not None and _host(written) in _BLOBS
        if named is None and not (
            written != plain or known or (_address(written) and written.endswith(".git"))
        ):
            return None
        place = cls(repository=named or written, ref=ref if hash_ else None)
        place.check()
        return place

    @property
    def credential_id(self) -> int | None:
        """Return the row of the catalog whose secrets open the repository."""
        return self.saved_token

    @property
    def reading(self) -> Mapping[str, object]:
        """Return whether what is no text is read: what was left alone without that is not then."""
        return {} if self.text_only else {"text_only": False}

    @property
    def credential_ids(self) -> tuple[int, ...]:
        """Return all rows of the catalog's secrets that the place names."""
        return tuple(one for one in (self.saved_token, self.webhook_secret) if one is not None)

    @property
    def url(self) -> str:
        """The repository as a URL, by which it is told from others; git is handed ``remote``."""
        if _GITHUB.fullmatch(self.repository):
            return f"https://github.com/{self.repository.removesuffix('.git')}.git"
        scp = _SCP.fullmatch(self.repository)
        if scp is not None and "://" not in self.repository:
            user, host, path = scp.groups()
            whole = f"{user}@{host}" if user else host
            # Below the home of somebody: no URL without "~" is the same there.
            home = "" if user == _SHARED or host.lower() in _BLOBS or path[0] == "~" else "~/"
            return f"ssh://{whole}/{home}{path}"
        return self.repository

    @property
    def remote(self) -> str:
        """What git fetches: ``user@host:path`` as it is written, since no URL says the same."""
        return self.url if _GITHUB.fullmatch(self.repository) else self.repository

    def address(self, key: str | None = None) -> str:
        """Return the address of a file, without a key that of the place."""
        host, path = self._where()
        whole = self.url if host == "file" else f"{host}/{path}"
        whole += f"@{self.ref}" if self.ref else ""
        inside = self.path_prefix if key is None else key
        return f"{whole}:{inside}" if inside else whole

    def identity(self) -> PlaceIdentity:
        """Return what makes two repositories the same one, at whatever commit."""
        host, path = self._where()
        return PlaceIdentity(self.type, host, path, self.path_prefix)

    def contradicts(self, known: Place) -> str | None:
        """Return ``ref`` where another one was written."""
        other = isinstance(known, GitPlace) and self.ref not in (None, known.ref)
        return "ref" if other else None

    def is_changed_by(
        self, repository: Sequence[str], ref: str, *, default_branch: str
    ) -> bool | None:
        """Return whether a push to a repository changes what lies here; None: it is another one."""
        host, path = self._where()
        mine = ((host, path), (host, _HOME.sub("", path, count=1)))  # who pushes names no home
        told = [one for one in repository if _GITHUB.fullmatch(one) or _address(one)]
        if not any(GitPlace(repository=one)._where() in mine for one in told):
            return None
        followed = self.ref or default_branch
        return ref in (followed, f"refs/heads/{followed}", f"refs/tags/{followed}")

    def followed(self) -> tuple[str, str] | None:
        """Return the commit or branch that is followed, as the contract tells them apart."""
        ref = self.ref or "HEAD"
        return ("sha", ref.lower()) if _COMMIT.fullmatch(ref) else ("branch", ref)

    def collection(self) -> str:
        """Return owner and name of the repository, as a collection may be called."""
        host, path = self._where()
        words = re.sub(r"[^a-zA-Z0-9._-]+|\.\.+", "-", path).strip("._-")[:100].strip("._-")
        return (
            words if len(words) >= 3 else f"{re.sub(r'[^a-z0-9]+', '-', host)}-{words}x".strip("-")
        )

    def check(self) -> None:
        """Refuse with ``InvalidSetting`` what names no repository or no ref."""
        if not (_GITHUB.fullmatch(self.repository) or _address(self.repository)):
            raise InvalidSetting(
                "repository is neither OWNER/REPO at GitHub nor a URL such as "
                "https://git.example.org/team/docs.git, without credentials: they belong into "
                "token_env or saved_token."
            )
        if self.ref is not None and (len(self.ref) > 250 or not _REF.fullmatch(self.ref)):
            raise InvalidSetting("ref is no name of a branch or tag, and no whole commit id.")
        if self.token_env is not None and self.saved_token is not None:
            raise InvalidSetting("token_env and saved_token exclude each other.")
        if (self.token_env or self.saved_token) and urlsplit(self.url).scheme != "https":
            raise InvalidSetting("token_env and saved_token need an https URL.")

    def admitted(self, admission: Admission) -> Self:
        """Return the place. Tenants that nobody trusts go over https, to the internet alone.

        Raises:
            InvalidSetting: this caller may not have the repository.
        """
        scheme = urlsplit(self.url).scheme
        allowed = protocols(admission.environment)
        if not admission.trusted:
            allowed &= {"https"}  # ssh would use the server's own key
        if scheme not in allowed or scheme == "file":
            raise InvalidSetting(
                f"repository is reached by {scheme}; this server lets you use "
                f"{', '.join(sorted(allowed - {'file'})) or 'nothing'}.",
                reason="git_protocol",
            )
        return self

    def link(self, key: str) -> str | None:
        """Return a file's page."""
        return self._page(self.ref or "HEAD", key)

    def permalink(self, key: str, version: str, lines: tuple[int, int]) -> str | None:
        """Return the page of some lines of a commit, for ever the same."""
        page = self._page(version, key)
        first, last = lines
        dash = "-" if urlsplit(self.url).hostname == "gitlab.com" else "-L"
        return None if page is None else f"{page}#L{first}{dash}{last}"

    def _page(self, version: str, key: str) -> str | None:
        host, path = self._where()
        between = _BLOBS.get(host)
        if between is None:
            return None
        return f"https://{host}/{path}{between}{quote(version)}/{quote(key)}"

    def _where(self) -> tuple[str, str]:
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        path = parts.path.strip("/").removesuffix(".git")
        if path.startswith("~/") and parts.username not in (None, _SHARED):
            path = f"~{parts.username}{path[1:]}"
        host = (parts.hostname or parts.scheme).lower() + port
        return host, path.lower() if host == "github.com" else path


def open_git(source: "Source", surroundings: "Surroundings") -> "ObjectStore":
    """Return the store of a repository; nothing is asked of the outside yet.

    Raises:
        InvalidSetting: a protocol that this server does not speak, or a bad variable.
        AccessDenied: a token that is named and not there.
    """
    # What fetches is loaded for a source that fetches: each command reads this module's settings.
    from s3sync_dagster.places.git_program import Remote  # noqa: PLC0415
    from s3sync_dagster.places.git_repository import Repository, sweep  # noqa: PLC0415
    from s3sync_dagster.places.git_store import GitStore  # noqa: PLC0415

    place = source.place
    assert isinstance(place, GitPlace)
    variables = {
        name: value
        for name in (GIT_PROTOCOLS, GIT_MAX_BYTES)
        if (value := surroundings.resolve_env(name))
    }
    allowed = protocols(variables)
    scheme = urlsplit(place.url).scheme
    if scheme not in allowed:
        raise InvalidSetting(
            f"The repository of source {source.name!r} is reached by {scheme}: {GIT_PROTOCOLS} "
            f"allows {', '.join(sorted(allowed))}.",
            reason="git_protocol",
        )
    user, token = "x-access-token", None
    if place.token_env is not None:
        token = surroundings.resolve_env(place.token_env)
        if token is None:
            raise AccessDenied(
                f"The variable {place.token_env!r} with the token of source {source.name!r} is "
                "not set.",
                reason="no_credentials",
            )
    elif place.saved_token is not None:
        user, token, _ = surroundings.resolve_credential(place.saved_token)
    guard = surroundings.guard_for(source, None)
    if guard is not None:
        place.check()  # it may be older than a rule on whose keeping the guard depends
    copies = surroundings.home / COPIES
    sweep(copies, unused_seconds=UNUSED_SECONDS)
    name = hashlib.sha256(f"{source.id}\0{place.remote}\0{place.ref}".encode()).hexdigest()[:24]
    remote = Remote(
        url=place.url,
        handed=place.remote,
        protocols=frozenset({scheme}),
        user=user,
        token=token,
        guard=guard,
        resolve_env=surroundings.resolve_env,
    )
    repository = Repository(
        copies / name, remote, place.ref, most_bytes=_most_bytes(variables.get(GIT_MAX_BYTES))
    )
    return GitStore(repository, text_only=place.text_only, clock=surroundings.clock)


def protocols(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the protocols that git may speak. Raises ``InvalidSetting`` for unknown ones."""
    named = environment.get(GIT_PROTOCOLS, "").replace(",", " ").split() or ["https", "ssh"]
    if unknown := set(named) - _KNOWN:
        raise InvalidSetting(
            f"{GIT_PROTOCOLS} has {ascii(min(unknown))[:50]}; known are "
            f"{', '.join(sorted(_KNOWN))}."
        )
    return frozenset(named)


def _most_bytes(text: str | None) -> int:
    if text is None:
        return DEFAULT_MAX_BYTES
    if not text.isdecimal() or int(text) < 1024**2:
        raise InvalidSetting(f"{GIT_MAX_BYTES} is not a number of bytes from 1048576 on.")
    return int(text)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # whose text repeats the URL
        return None


def _address(text: str) -> bool:
    """Return whether a text is a URL without a password, or the form of scp."""
    if _URL.fullmatch(text) is None:
        return "://" not in text and not text.startswith("-") and bool(_SCP.fullmatch(text))
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for what is no number
    except ValueError:
        return False
    host = parts.hostname or ""
    if parts.scheme == "file":
        return not parts.netloc and len(parts.path) > 1
    user = parts.scheme == "ssh" or parts.username is None
    named = _HOST.fullmatch(host) is not None and not (parts.username or "").startswith("-")
    return named and user and parts.password is None and len(parts.path) > 1
