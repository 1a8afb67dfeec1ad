import pytest

from idgen.config import SourcesConfig
from idgen.sources.redact import redact_text, redact_uri, redact_uris

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


SIGNED = {
    "Azure SAS": "sv=2022-11-02&st=2026-01-01T00%3A00Z&se=2026-01-02&sr=b&sp=r&spr=https&skoid=1&sktid=2&skt=3&ske=4"
    "&sks=b&skv=5&sig=CANARY%3D",
    "S3 presigned": "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=CANARY&X-Amz-Date=1&X-Amz-Expires=60"
    "&X-Amz-SignedHeaders=host&X-Amz-Signature=CANARY",
    "S3 of old": "AWSAccessKeyId=CANARY&Signature=CANARY%3D&Expires=1141889120",
    "GCS signed": "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=CANARY&X-Goog-Date=1&X-Goog-Expires=60"
    "&X-Goog-SignedHeaders=host&X-Goog-Signature=CANARY",
    "GCS of old": "GoogleAccessId=a%40b&Expires=1458238630&Signature=CANARY%3D",
    "CloudFront": "Expires=1426500000&Signature=CANARY__&Key-Pair-Id=K2",
    "CloudFront with a policy": "Policy=eyANCg&Signature=CANARY__&Key-Pair-Id=K2",
}


@pytest.mark.parametrize("kind", SIGNED)
def test_a_signed_link_loses_its_signature_and_all_that_goes_with_it(kind):
    for query, left in ((SIGNED[kind], ""), (f"v=2&{SIGNED[kind]}&w=3", "?v=2&w=3")):
        assert redact_uri(f"https://h.example/a.jpg?{query}", PARAMETERS) == f"https://h.example/a.jpg{left}"


@pytest.mark.parametrize("name", ["sp", "st", "sr", "se", "sv", "Policy", "Expires", "Key-Pair-Id", "skt"])
@pytest.mark.parametrize("beside", ["", "&v=1", "&sig", "&sig="])
def test_without_a_signature_the_same_names_tell_one_photo_from_another(name, beside):
    ada, ben = (redact_uri(f"https://h.example/p?{name}={who}{beside}", PARAMETERS) for who in ("ada", "ben"))
    assert ada != ben


CANARY_TEXTS = {
    "json": '["https://h/a.jpg?v=1&X-Amz-Signature=CANARY", "https://me:CANARY@h/b.jpg"]',
    "json with escaped slashes": r'{"front":"https:\/\/me:CANARY@h\/a.jpg?sig=CANARY","n":1}',
    "json with escaped ampersand": r'"a.jpg?v=1\u0026sig=CANARY"',
    "html": "https://h/a.jpg?v=1&amp;sig=CANARY&amp;X-Goog-Signature=CANARY",
    "words before": "front: https://h/a.jpg?sv=1&sp=r&sig=CANARY see there",
    "list": "https://h/a?sig=CANARY|https://h/b?sig=CANARY|https://u:CANARY@h/c",
    "list with commas": "https://h/a,https://u:CANARY@h/b?sig=CANARY;s3://u:CANARY@b/c",
    "paths": "a.jpg?sig=CANARY|b.jpg?sig=CANARY",
    "blank in the name": "https://h/my photo.jpg?Signature=CANARY&v=1",
    "quote in the name": "https://h/o'brien.jpg?v=1&sig=CANARY",
    "link in a link": "https://h/?to=https://u:CANARY@h/a.jpg&sig=CANARY",
    "long scheme": "averyveryverylongscheme://u:CANARY@h/a",
}


@pytest.mark.parametrize("kind", CANARY_TEXTS)
def test_no_signature_is_left_in_a_shops_own_text(kind):
    clean = redact_uris(CANARY_TEXTS[kind], PARAMETERS)
    assert "CANARY" not in clean
    assert redact_uris(clean, PARAMETERS) == clean


def test_a_shops_own_text_keeps_everything_else():
    json_text = '["https://h/a.jpg?v=1&X-Amz-Signature=x", {"b": "https://h/b"}]'
    assert redact_uris(json_text, PARAMETERS) == '["https://h/a.jpg?v=1", {"b": "https://h/b"}]'
    assert redact_uris("a.jpg?sig=1|b.jpg?v=2", PARAMETERS) == "a.jpg?sig=[redacted]|b.jpg?v=2"
    for text in ("signature=Anna", "x=1, se=3", "policy=free returns", "https://h/p?sp=ada", "s3://b/a#1.jpg", "a//b"):
        assert redact_uris(text, PARAMETERS) == text


def test_long_texts_are_read_in_linear_time():
    for unit in ("a", "X-Amz-", "https:", "a://", "?sig"):
        redact_uris("=//" + unit * (200_000 // len(unit)), PARAMETERS)  # quadratic would take minutes


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
