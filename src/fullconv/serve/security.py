"""Who may ask, and what browsers are told about answers.

A token is sent as ``Authorization: Bearer TOKEN``, or as the password of HTTP's own dialogue (any name), which is what a browser
offers a person. Never in an address: addresses are kept in histories and logs.
"""

import base64
import binascii
import hashlib
import hmac
import os
from pathlib import Path

from fullconv.errors import SpecError

SHORTEST = 16
"""Characters of a token."""
OPEN = frozenset({"/healthz", "/readyz"})
"""What is answered without a token."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self' blob:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
"""Of every answer that does not say otherwise. Other sites' pages cannot read answers (CORS): no header allows it."""


class Tokens:
    """The tokens that are let in.

    Parameters
    ----------
    tokens
        Only their hashes are kept.

    Examples
    --------
    >>> tokens = Tokens(["correct-horse-battery"])
    >>> tokens.admit("Bearer correct-horse-battery"), tokens.admit("Bearer wrong"), tokens.admit(None)
    (True, False, False)
    """

    def __init__(self, tokens: list[str]) -> None:
        self._hashes = [_hash(token.encode()) for token in tokens]

    def admit(self, authorization: str | None) -> bool:
        """Return whether the content of the header ``Authorization`` has one of them.

        It takes the same time whichever is given: hashes of one length are compared whole, with every token.
        """
        given = _hash(_token_in(authorization or ""))
        same = [hmac.compare_digest(given, known) for known in self._hashes]
        return any(same)


def read_tokens(path: str | os.PathLike[str]) -> Tokens:
    """Return the tokens of a file: one a line; empty lines and those that begin with # are left out.

    Raises
    ------
    SpecError
        When there is no such file, no token in it, or one that could be guessed.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SpecError(f"cannot read the tokens in {path}: {reason}; give a text file with a token a line") from error
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens or min(map(len, tokens)) < SHORTEST:
        what = f"a token of fewer than {SHORTEST} characters" if tokens else "no token"
        raise SpecError(
            f"{path} has {what}; write a long random one on each line, such as python -c 'import secrets; "
            "print(secrets.token_urlsafe())' gives"
        )
    return Tokens(tokens)


def _token_in(authorization: str) -> bytes:
    kind, _, value = authorization.partition(" ")
    if kind.lower() == "bearer":
        return value.strip().encode()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    return host in ("localhost", "::1") or host.startswith("127.")
