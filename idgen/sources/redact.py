"""What may be written down of a URI, and of any text that goes into a log.

Keys, ledgers, reports and logs all speak of a photo by `redact_uri`: tonight's signed link then gives last night's
key, and a bucket of results never holds the means to read another bucket.
"""

import re
from collections.abc import Sequence
from urllib.parse import unquote_plus

from idgen.config import SourcesConfig

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.\-]*)://")
_AUTHORITY_END = re.compile(r"[/?#]")
_LITERAL_KEYS = frozenset({"s3", "s3a", "s3n", "gs", "gcs"})  # what follows the bucket is a name: # is no fragment

_URI_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s\"'<>|]+")
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

    Names are compared without case, a trailing `*` is a wildcard. Everything else stays as it is spelled and in its
    order. A `#` in an object-store name (s3://) is part of the name and stays. Plain paths come back untouched.
    """
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
        query = "&".join(part for part in query.split("&") if not _is_signature(part, signature_parameters))
    return uri[: scheme.end()] + authority.rpartition("@")[2] + path + (f"?{query}" if query else "")


def _is_signature(parameter: str, signature_parameters: Sequence[str]) -> bool:
    name = unquote_plus(parameter.partition("=")[0]).lower()
    return any(
        name.startswith(pattern[:-1].lower()) if pattern.endswith("*") else name == pattern.lower()
        for pattern in signature_parameters
    )


def redact_text(text: str, signature_parameters: Sequence[str] | None = None) -> str:
    r"""Return `text` fit for a log: one line, no credentials.

    URIs in it are redacted as by `redact_uri` (default parameters of `SourcesConfig`), access keys and tokens become
    `[redacted]`, control, line-breaking and direction-changing characters become escapes such as `\n` and `\x1b`.
    """
    names = SourcesConfig().signature_parameters if signature_parameters is None else signature_parameters
    text = _URI_IN_TEXT.sub(lambda match: redact_uri(match[0], names), text)
    text = _bare_signatures(names).sub(rf"\1={_REDACTED}", text)
    text = _SECRETS.sub(_REDACTED, text)
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def _bare_signatures(names: Sequence[str]) -> re.Pattern[str]:
    """Match `name=value` of a query without its URI in front; short names only after ? or &, they are also words."""
    parts = []
    for name in names:
        spelled = re.escape(name[:-1]) + r"[\w.\-]*" if name.endswith("*") else re.escape(name)
        parts.append(spelled if len(name) > 4 else r"(?<=[?&])" + spelled)
    return re.compile(rf"((?:{'|'.join(parts) or '(?!)'}))=[^\s&\"'<>]+", re.IGNORECASE)
