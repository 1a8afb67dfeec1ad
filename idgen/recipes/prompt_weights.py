"""Weights in a prompt as most tools spell them: (word:1.3), (word), [word]; no torch, as the plan reads it too."""

import re

STRONGER = 1.1
"""What brackets without a number multiply by; square ones divide."""
MOST = 10.0
"""No part weighs more: pictures are spoilt long before."""

_TOKENS = re.compile(r"\\[\\()\[\]]|[()\[\]]|[^\\()\[\]]+|\\")
_NUMBER = re.compile(r"\s*:\s*([0-9]*\.?[0-9]+)\s*$")
_OPENS = {")": "(", "]": "["}

MARKS = ("<|startoftext|>", "<|endoftext|>")
"""CLIP's marks of a prompt's start and end; its tokenizer takes them, in any case, for the marks also in the middle."""


def holds_marks(text: str) -> bool:
    """Return whether CLIP's tokenizer must be told that nothing in `text` is a special token.

    Only then: SDXL's second tokenizer has "!" as a special token, and prompts with one keep the stock tokens.
    """
    lowered = text.lower()
    return any(mark in lowered for mark in MARKS)


def parse(prompt: str) -> list[tuple[str, float]]:
    r"""Return the prompt's parts in order, each with its weight, neighbours of one weight joined.

    `(a:1.3)` weighs 1.3, `(a)` 1.1, `[a]` 1 / 1.1; in each other they multiply, up to MOST. `(16:9)` is text: it is
    a ratio, not a weight. `\(` is a bracket as text, and so is one without its other half. Blanks and commas belong to
    the part they stand in.
    """
    parts: list[tuple[str, float]] = []
    opened: list[tuple[str, int]] = []
    for token in _TOKENS.findall(prompt):
        if token in _OPENS and opened and opened[-1][0] == _OPENS[token]:
            bracket, start = opened.pop()
            if not (bracket == "(" and _is_ratio(parts[-1][0] if len(parts) > start + 1 else "")):
                _close(parts, bracket, start)
                continue
        if token in _OPENS.values():
            opened.append((token, len(parts)))
        parts.append((token[1:] if len(token) == 2 and token[0] == "\\" else token, 1.0))
    return _joined(parts)


def _is_ratio(text: str) -> bool:
    """Return whether what stands last in round brackets is a ratio or a size, as in (16:9) and (waist: 32)."""
    number = _NUMBER.search(text)
    return number is not None and (float(number[1]) > MOST or text[: number.start()][-1:].isdigit())


def _close(parts: list[tuple[str, float]], bracket: str, start: int) -> None:
    """Weigh the parts since the opening `bracket`, which is one itself and goes."""
    del parts[start]
    factor = STRONGER if bracket == "(" else 1 / STRONGER
    text, weight = parts[-1] if len(parts) > start else ("", 1.0)
    if bracket == "(" and (number := _NUMBER.search(text)):
        factor = float(number[1])
        parts[-1] = text[: number.start()], weight
    parts[start:] = [(text, min(weight * factor, MOST)) for text, weight in parts[start:]]


def _joined(parts: list[tuple[str, float]]) -> list[tuple[str, float]]:
    joined: list[tuple[str, float]] = []
    for text, weight in parts:
        if not text:
            continue
        if joined and joined[-1][1] == weight:
            joined[-1] = joined[-1][0] + text, weight
        else:
            joined.append((text, weight))
    return joined
