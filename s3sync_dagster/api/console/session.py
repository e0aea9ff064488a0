"""Who looks at the pages: a cookie with the token, sealed; forms that no other site can send."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken
from fastapi import Request, Response

from s3sync_dagster.api.access import (
    Caller,
    authorise,
    came_over_tls,
    is_page_of_ours,
    proxy_visitor,
    signed_in_by_proxy,
)
from s3sync_dagster.api.cursors import secret_for
from s3sync_dagster.api.errors import Forbidden
from s3sync_dagster.settings import Settings

SESSION_COOKIE = "s3sync_session"
FORM_COOKIE = "s3sync_form"
SESSION_SECONDS = 12 * 3600
_PURPOSE = b"s3sync console session"


@dataclass(frozen=True, slots=True)
class Session:
    """What one request to the pages is allowed, and the secret of its forms."""

    caller: Caller
    form_token: str
    form_seed: str
    signed_in: bool
    """With a token; False on a server without, and for whom a proxy signs in and out."""

    @property
    def owner(self) -> bool:
        """Whether the buttons for owners are shown."""
        return self.caller.role == "owner"


class Sessions:
    """Seals tokens into cookies and signs forms, with a key made from the encryption key."""

    def __init__(self, settings: Settings) -> None:
        self._secret = secret_for(settings, _PURPOSE)
        self._fernet = Fernet(base64.urlsafe_b64encode(self._secret))

    def open(self, request: Request) -> Session:
        """Return the session of a request.

        Raises:
            Unauthorized: the visitor has to sign in.
            Forbidden: see ``access.refuse_strangers`` and ``signed_in_by_proxy``.
        """
        by_proxy = signed_in_by_proxy(request)
        caller = by_proxy or authorise(request, self.token_in(request.cookies))
        seed = request.cookies.get(FORM_COOKIE, "") or secrets.token_urlsafe(24)
        return Session(
            caller=caller,
            form_token=self._sign(request, seed),
            form_seed=seed,
            signed_in=caller.token_id is not None,
        )

    def check_form(self, request: Request, form_token: str) -> None:
        """Raise ``Forbidden`` for a form that was not sent from a page of ours to this visitor.

        The cookie alone proves nothing: whoever serves a neighbouring name may set one. So the
        signature is of the visitor, too, and the browser says whose page it was.
        """
        seed = request.cookies.get(FORM_COOKIE, "")
        wanted = self._sign(request, seed)
        if not seed or not hmac.compare_digest(wanted.encode(), form_token.encode()):
            raise Forbidden("This form has expired: go back, load the page again, and retry.")
        other = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        if other or not is_page_of_ours(request):
            raise Forbidden(
                "A page of another site may not send this form. Behind a proxy "
                "S3SYNC_API_PUBLIC_URL names the address of this one."
            )

    def sign_in(self, request: Request, response: Response, token: str) -> None:
        """Put a token that was checked into the visitor's cookie."""
        _set_cookie(request, response, SESSION_COOKIE, self.seal(token), seconds=SESSION_SECONDS)

    def seal(self, token: str) -> str:
        """Return what ``token_in`` opens, in the console and at the doors of the stack."""
        return self._fernet.encrypt(json.dumps(token).encode()).decode()

    def sign_out(self, response: Response) -> None:
        """Take the cookie away."""
        response.delete_cookie(SESSION_COOKIE, path="/")

    def keep_form(self, request: Request, response: Response, seed: str) -> None:
        """Give the visitor the seed that later signs the forms of this page."""
        if request.cookies.get(FORM_COOKIE) != seed:
            _set_cookie(request, response, FORM_COOKIE, seed, seconds=None)

    def fresh_seed(self, request: Request) -> tuple[str, str]:
        """Return seed and form token for a page that is shown before anybody signed in."""
        seed = request.cookies.get(FORM_COOKIE, "") or secrets.token_urlsafe(24)
        return seed, self._sign(request, seed)

    def token_in(self, cookies: Mapping[str, str]) -> str | None:
        """Return the token of whoever signed in, None where nobody did."""
        sealed = cookies.get(SESSION_COOKIE, "")
        try:
            return json.loads(self._fernet.decrypt(sealed.encode(), ttl=SESSION_SECONDS))
        except (InvalidToken, ValueError):
            return None

    def _sign(self, request: Request, seed: str) -> str:
        named = proxy_visitor(request)
        who = f"user {named.user}" if named else f"token {self.token_in(request.cookies)}"
        return hmac.new(self._secret, json.dumps([seed, who]).encode(), hashlib.sha256).hexdigest()


def _set_cookie(
    request: Request, response: Response, name: str, value: str, *, seconds: int | None
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="strict",
        secure=came_over_tls(request),
    )
