"""Prompt syntax of other programs, and scripts that a text encoder cannot read: patterns for the plan's warnings.

The patterns are RE2's, which DuckDB runs over every prompt of a catalogue. They rather miss a rare spelling than take
ordinary text for syntax: single brackets, ratios (16:9) and times (10:30) are ordinary text.
"""

from dataclasses import dataclass

SYNTAX = "prompt_syntax"
SCRIPT = "prompt_script"


@dataclass(frozen=True, slots=True)
class PromptKind:
    """One thing that may be in a prompt, and the warning about it."""

    code: str
    text: str
    pattern: str
    clip_only: bool = False
    """Text encoders other than CLIP's read it."""
    weight: bool = False
    """Recipes with prompt_syntax: weighted read it."""


_AS_TEXT = "is read as plain text"
_WEIGHTED = "; the recipe's prompt_syntax: weighted makes weights work, except on Kolors"
_NUMBER = r"[0-9]*\.?[0-9]+"
_OTHER_LETTERS = r"[^\p{Latin}\p{Common}\p{Inherited}\P{L}]{2}"  # two, as one alone may be a unit (μm) or a sign
_WORD_LETTERS = r"\p{Han}|\p{Hiragana}|\p{Katakana}|\p{Hangul}"  # one alone may be a word

KINDS = (
    PromptKind(SYNTAX, f"(word:1.3) {_AS_TEXT}{_WEIGHTED}", rf"\([^()\n]*[^()0-9\s]\s*:\s*{_NUMBER}\s*\)", weight=True),
    PromptKind(SYNTAX, f"((word)) {_AS_TEXT}{_WEIGHTED}", r"\(\([^()\n]+\)|\[\[[^\[\]\n]+\]", weight=True),
    PromptKind(SYNTAX, f"word++ {_AS_TEXT}, weights have no effect", r"\pL\pL\+\+|\)(\+\+|--)"),
    PromptKind(SYNTAX, f"word::2 {_AS_TEXT}, weights have no effect", r"[\pL\pN)]\s*::\s*-?[0-9.]*([^0-9.\]]|$)"),
    PromptKind(SYNTAX, f"[a|b] {_AS_TEXT}", r"\[[^\[\]\n]*\|[^\[\]\n]*\]"),
    PromptKind(SYNTAX, f"[a:b:0.5] {_AS_TEXT}", rf"\[[^\[\]\n]*[^\[\]0-9\s]\s*:\s*{_NUMBER}\s*\]"),
    PromptKind(SYNTAX, f"{{a|b}} {_AS_TEXT}: one row makes one choice", r"\{[^{}\n]*\|[^{}\n]*\}"),
    PromptKind(
        SYNTAX,
        f"<lora:name:0.8> {_AS_TEXT}; a recipe has its LoRAs in base.loras",
        r"(?i)<(lora|lyco|locon|loha|hypernet|embedding|ti):[^<>\n]*>",
    ),
    PromptKind(SYNTAX, f"BREAK {_AS_TEXT}", r"(^|[\s,])BREAK($|[\s,])"),
    PromptKind(SYNTAX, f"__name__ {_AS_TEXT}: word lists are not read", r"__[A-Za-z0-9][A-Za-z0-9_*/.-]*__"),
    PromptKind(SYNTAX, f"embedding:name {_AS_TEXT}: textual inversions are not loaded", r"(?i)(^|[\s,(])embedding:\S"),
    PromptKind(
        SYNTAX,
        f"--ar 16:9 and the like {_AS_TEXT}; settings are columns",
        r"(^|\s)--(ar|aspect|no|style|stylize|v|version|q|quality|s|seed|chaos|niji|iw|cref|sref|tile|weird)($|\s)",
    ),
    PromptKind(SYNTAX, f"<|endoftext|> and the like {_AS_TEXT}", r"(?i)<\|[a-z_]+\|>"),
    PromptKind(
        SCRIPT,
        "the text encoder was trained on English and hardly knows other scripts; write English, or take a Kolors "
        "recipe for Chinese",
        f"{_OTHER_LETTERS}|{_WORD_LETTERS}",
        clip_only=True,
    ),
)
