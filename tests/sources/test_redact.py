import pytest

from idgen.config import SourcesConfig
from idgen.sources.redact import redact_text, redact_uri

PARAMETERS = SourcesConfig().signature_parameters


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://u:p@h.example/a.jpg", "https://h.example/a.jpg"),
        ("https://u:p@x@h.example/a.jpg", "https://h.example/a.jpg"),
        ("https://h.example/a.jpg#top", "https://h.example/a.jpg"),
        ("https://h/a.jpg?X-Amz-Signature=ab&X-Amz-Date=1", "https://h/a.jpg"),
        ("https://h/a.jpg?b=2&x-amz-signature=ab&a=1", "https://h/a.jpg?b=2&a=1"),
        ("https://h/a.jpg?X%2DAmz%2DSignature=ab&a=1", "https://h/a.jpg?a=1"),
        ("https://h/a%20b.jpg?q=%2F&SIG=1&q=%2f", "https://h/a%20b.jpg?q=%2F&q=%2f"),
        ("https://h/a.jpg?Policy=p&Signature=s&Key-Pair-Id=k&v=2", "https://h/a.jpg?v=2"),
        ("https://h/a.jpg?signal=5&sparse=1", "https://h/a.jpg?signal=5&sparse=1"),
        ("https://h?sig=1#f", "https://h"),
        ("https://h/a@b.jpg", "https://h/a@b.jpg"),
        ("s3://AKIA:secret@bucket/a#1.jpg", "s3://bucket/a#1.jpg"),
        ("s3://bucket/a/b@c.jpg", "s3://bucket/a/b@c.jpg"),
        ("/photos/a?sig=1#b@c.jpg", "/photos/a?sig=1#b@c.jpg"),
        ("photos/../a b.jpg", "photos/../a b.jpg"),
        ("", ""),
        ("http://[::1", "http://[::1"),
        ("http://\x00\ud800@/?sig", "http:///"),
    ],
)
def test_a_uri_loses_its_secrets_and_nothing_else(uri, expected):
    assert redact_uri(uri, PARAMETERS) == expected


def test_redacting_twice_changes_nothing():
    once = redact_uri("https://u:p@h/a?sig=1&b=2#c", PARAMETERS)
    assert redact_uri(once, PARAMETERS) == once


def test_the_list_of_parameters_is_the_callers():
    assert redact_uri("https://h/a?token=1&sig=2", ["tok*"]) == "https://h/a?sig=2"


SECRETS = {
    "AKIACANARY0123456789": "key id AKIACANARY0123456789 refused",
    "hf_canaryCANARY0123": "token=hf_canaryCANARY0123",
    "canarysig": "GET /a.jpg?X-Amz-Signature=canarysig&v=1",
    "canary-short": "see ?v=1&sig=canary-short",
    "canary-pass": "at https://me:canary-pass@h.example/a.jpg",
    "canary-in-uri": "at https://h.example/a.jpg?sig=canary-in-uri, again",
    "canary-bearer": "Authorization: Bearer canary-bearer",
    "canary-secret": "aws_secret_access_key=canary-secret",
}


@pytest.mark.parametrize("secret", SECRETS)
def test_a_log_line_holds_no_secret(secret):
    assert secret not in redact_text(SECRETS[secret])


def test_a_log_line_keeps_what_is_no_secret():
    text = "row 7: no_face in https://h.example/a.jpg?v=1 (se=3 faces, design=5)"
    assert redact_text(text) == text


def test_a_prompt_cannot_write_a_log_line_of_its_own():
    line = redact_text("prompt\n2026-01-01 ERROR forged\r\x1b[2J\u2028\u202e")
    assert line == r"prompt\n2026-01-01 ERROR forged\r\x1b[2J\u2028\u202e"
    assert len(line.splitlines()) == 1
