"""Redacts addresses: what of a URI, or of any text, may be written to a log.

Keys, ledgers, reports and logs all speak of a photo by `redact_uri`: tonight's signed link then gives last night's
key, and a bucket of results never holds the means to read another bucket.
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from urllib.parse import unquote_plus

from idgen.config import SourcesConfig

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.\-]*)://")
_AUTHORITY_END = re.compile(r"[/?#]")
_LITERAL_KEYS = frozenset({"s3", "s3a", "s3n", "gs", "gcs"})  # what follows the bucket is a name: # is no fragment

_ESCAPED_SLASH = "\\/"  # as some JSON writers have it
_ESCAPED_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\\/\\/")
_URI_START = r"[A-Za-z][A-Za-z0-9+.\-]{0,15}:(?://|\\/\\/)"  # bounded: text of any length is read in linear time
_URI_IN_TEXT = re.compile(rf"{_URI_START}(?:(?!{_URI_START})[^\s\"'<>|])+")  # ends where the next one begins
_COMPANIONS = frozenset(
    {
        "se", "sp", "sv", "sr", "st", "spr", "skoid", "sktid", "skt", "ske", "sks", "skv", "expires", "policy",
        "key-pair-id", "awsaccesskeyid", "googleaccessid",
    }
)  # fmt: skip
"""Words that mean something else where nothing is signed: ?sp=1 and ?sp=2 may be two photos of two people."""
_SECRETS = re.compile(
    r"\b(?:AKIA|ASIA|AROA)[A-Z0-9]{12,}\b"  # access key ids
    r"|\bhf_[A-Za-z0-9]{8,}"  # model hub tokens
    r"|\bgh[pousr]_[A-Za-z0-9]{16,}"
    r"|(?<=\bBearer )\S+|(?<=\bBasic )[A-Za-z0-9+/=]{8,}"
    r"|(?<=secret_access_key=)\S+|(?<=session_token=)\S+",
    re.IGNORECASE,
)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_REDACTED = "[redacted]"


def redact_uri(uri: str, signature_parameters: Sequence[str]) -> str:
    """Return `uri` without userinfo, fragment and the query parameters named in `signature_parameters`.

    Names are compared without case, a trailing `*` is a wildcard. What only accompanies a signature (Expires, Policy,
    Azure's se and sp, ...) goes when the same query holds one of the others. Everything else stays as it is spelled and
    in its order. A `#` in an object-store name (s3://) is part of the name and stays. Plain paths come back untouched.
    """
    return _redacted(uri, signature_parameters, greedy=False)


def redact_uris(text: str, signature_parameters: Sequence[str]) -> str:
    """Return `text` with every URI in it redacted as by `redact_uri`; for the shop's own columns and ids.

    Also within JSON and lists. A signature without its URI in front, as of a path, becomes `[redacted]`.
    """
    if "=" not in text and "//" not in text and _ESCAPED_SLASH not in text:
        return text
    return _without_signatures(text, signature_parameters, greedy=False)


def redact_text(text: str, signature_parameters: Sequence[str] | None = None) -> str:
    r"""Return `text` fit for a log: one line, no credentials.

    URIs in it lose all `signature_parameters` (default: those of `SourcesConfig`), access keys and tokens become
    `[redacted]`, control, line-breaking and direction-changing characters become escapes such as `\n` and `\x1b`.
    """
    names = _default_parameters() if signature_parameters is None else signature_parameters
    text = _SECRETS.sub(_REDACTED, _without_signatures(text, names, greedy=True))
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def _without_signatures(text: str, names: Sequence[str], *, greedy: bool) -> str:
    text = _URI_IN_TEXT.sub(lambda match: _redacted_in_text(match[0], names, greedy), text)
    return _bare_signatures(tuple(names), greedy).sub(rf"\1={_REDACTED}", text)


def _redacted_in_text(uri: str, names: Sequence[str], greedy: bool) -> str:
    if not _ESCAPED_SCHEME.match(uri):
        return _redacted(uri, names, greedy)
    return _redacted(uri.replace(_ESCAPED_SLASH, "/"), names, greedy).replace("/", _ESCAPED_SLASH)


def _redacted(uri: str, names: Sequence[str], greedy: bool) -> str:
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return uri
    rest = uri[scheme.end() :]
    end = _AUTHORITY_END.search(rest)
    authority, path = (rest, "") if end is None else (rest[: end.start()], rest[end.start() :])
    if scheme[1].lower() not in _LITERAL_KEYS:
        path = path.partition("#")[0]
    path, _, query = path.partition("?")
    if query:
        query = _unsigned(query, names, greedy)
    return uri[: scheme.end()] + authority.rpartition("@")[2] + path + (f"?{query}" if query else "")


def _unsigned(query: str, names: Sequence[str], greedy: bool) -> str:
    """Return the query without its signature, and without what accompanies one if there is one (or `greedy`)."""
    parameters = [(unquote_plus(part.partition("=")[0]).lower(), part) for part in query.split("&")]
    listed = {name for name, _ in parameters if _is_listed(name, names)}
    if not greedy and not any(part.partition("=")[2] for name, part in parameters if name in listed - _COMPANIONS):
        listed -= _COMPANIONS
    return "&".join(part for name, part in parameters if name not in listed)


def _is_listed(name: str, names: Sequence[str]) -> bool:
    return any(
        name.startswith(pattern[:-1].lower()) if pattern.endswith("*") else name == pattern.lower() for pattern in names
    )


@cache
def _default_parameters() -> tuple[str, ...]:
    return tuple(SourcesConfig().hidden_parameters)


@lru_cache(8)
def _bare_signatures(names: tuple[str, ...], greedy: bool) -> re.Pattern[str]:
    r"""Match `name=value` of a query without its URI in front.

    What is also a word counts only after ? or &, which HTML and JSON spell `&amp;` and `\u0026`. Logs are for idgen's
    own messages, so there (`greedy`) only short names are words.
    """
    parts = []
    for name in names:
        if not greedy and name.lower() in _COMPANIONS:
            continue
        spelled = re.escape(name[:-1]) + r"[\w.\-]{0,64}" if name.endswith("*") else re.escape(name)
        no_word = len(name) > 4 if greedy else "-" in name
        parts.append(spelled if no_word else rf"(?:(?<=[?&;])|(?<=\\u0026)){spelled}")
    return re.compile(rf"((?:{'|'.join(parts) or '(?!)'}))=[^\s&\"'<>|]+", re.IGNORECASE)
