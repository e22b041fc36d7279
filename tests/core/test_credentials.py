from __future__ import annotations

import pytest

from netlodge.core.credentials import CREDENTIAL_FIELDS, is_credential_field, names_secret


@pytest.mark.parametrize(
    "name",
    [
        *(
            "token",
            "id_token",
            "PWD",
            "sid",
            "X-Amz-Signature",
            "jwt",
            "auth",
            "passwd",
            "%70assword",
            "user[password]",
        ),
        *("code", "session", "private_key", "passcode", "otp", "pw", "pin", "SAMLResponse", "AWSAccessKeyId"),
        *("client_assertion", "code_verifier", "JSESSIONID"),
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize(
    "name", ["", "page", "author", "keyword", "passage", "side", "tokenize", "postcode", "spin", "status_code", "%"]
)
def test_names_of_other_things(name: str) -> None:
    assert not names_secret(name)


@pytest.mark.parametrize(
    "field_name",
    [
        *("X-XSRF-TOKEN", "Private-Token", "X-Vault-Token", "Api-Key", "X-Access-Token", "X-Forwarded-Access-Token"),
        *("X-Session-Id", "Authorization", "cookie", "Set-Cookie", "X-Some-Ones-Api-Key"),
        *CREDENTIAL_FIELDS,
    ],
)
def test_fields_with_credentials(field_name: str) -> None:
    assert is_credential_field(field_name)


@pytest.mark.parametrize(
    "field_name", ["host", "accept", "www-authenticate", "sec-websocket-key", "idempotency-key", "content-encoding"]
)
def test_fields_without(field_name: str) -> None:
    assert not is_credential_field(field_name)
