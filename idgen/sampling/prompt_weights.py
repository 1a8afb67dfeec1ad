"""Weights in a prompt as most tools spell them: (word:1.3), (word), [word]; no torch, as the plan reads it too."""

import re

STRONGER = 1.1
"""What brackets without a number multiply by; square ones divide."""

_TOKENS = re.compile(r"\\[\\()\[\]]|[()\[\]]|[^\\()\[\]]+|\\")
_NUMBER = re.compile(r"\s*:\s*([0-9]*\.?[0-9]+)\s*$")
_OPENS = {")": "(", "]": "["}


def parse(prompt: str) -> list[tuple[str, float]]:
    r"""Return the prompt's parts in order, each with its weight, neighbours of one weight joined.

    `(a:1.3)` weighs 1.3, `(a)` 1.1, `[a]` 1 / 1.1; in each other they multiply. `\(` is a bracket as text, and so is
    one without its other half. Blanks and commas belong to the part they stand in.
    """
    parts: list[tuple[str, float]] = []
    opened: list[tuple[str, int]] = []
    for token in _TOKENS.findall(prompt):
        if token in _OPENS and opened and opened[-1][0] == _OPENS[token]:
            _close(parts, *opened.pop())
            continue
        if token in _OPENS.values():
            opened.append((token, len(parts)))
        parts.append((token[1:] if len(token) == 2 and token[0] == "\\" else token, 1.0))
    return _joined(parts)


def _close(parts: list[tuple[str, float]], bracket: str, start: int) -> None:
    """Weigh the parts since the opening `bracket`, which is one itself and goes."""
    del parts[start]
    factor = STRONGER if bracket == "(" else 1 / STRONGER
    text, weight = parts[-1] if len(parts) > start else ("", 1.0)
    if bracket == "(" and (number := _NUMBER.search(text)):
        factor = float(number[1])
        parts[-1] = text[: number.start()], weight
    parts[start:] = [(text, weight * factor) for text, weight in parts[start:]]


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
