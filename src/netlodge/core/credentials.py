"""Which names stand before a credential: of fields, of parameters in queries and forms, of members in JSON.

One home for whatever shows or returns what passed and must leave credentials out: RFC 9110 §11.6.2, §11.7.1 and §17.13, RFC 6265 §4, and
the names that programs gave theirs (those of OAuth and SAML among them). When in doubt, a name is one of them.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

CREDENTIAL_FIELDS: Final = frozenset(
    {
        "api-key",
        "authorization",
        "cookie",
        "cookie2",
        "private-token",
        "proxy-authorization",
        "set-cookie",
        "set-cookie2",
        "x-access-token",
        "x-amz-security-token",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
        "x-forwarded-access-token",
        "x-session-id",
        "x-vault-token",
        "x-xsrf-token",
    }
)
"""Fields that carry credentials, in lower case. Others are known by `is_credential_field`."""

_ENDINGS: Final = (
    "accesskey",
    "accesskeyid",
    "apikey",
    "assertion",
    "authorization",
    "codeverifier",
    "credential",
    "credentials",
    "jwt",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "secretkey",
    "sessionid",
    "signature",
    "token",
)
_WORDS: Final = frozenset(
    {
        "auth",
        "code",
        "key",
        "otp",
        "pass",
        "phpsessid",
        "pin",
        "pw",
        "pwd",
        "samlresponse",
        "session",
        "sid",
        "sig",
        "totp",
    }
)


def is_credential_field(field_name: str) -> bool:
    """Whether a field of this name, in any case, carries a credential: one that is listed, or named like a secret."""
    return field_name.lower() in CREDENTIAL_FIELDS or names_secret(field_name)


def names_secret(name: str) -> bool:
    """Whether a parameter or member of this name holds a secret: `access_token`, `user[password]`, `%70assword`, `apiKey`, `sid`, ...

    Octets stand in `name` as ISO-8859-1; percent-encoding is undone, and all but letters is passed over."""
    if "%" in name:
        name = unquote_to_bytes(name).decode("latin-1")
    letters = "".join(filter(str.isalpha, name)).lower()
    return letters in _WORDS or letters.endswith(_ENDINGS)
