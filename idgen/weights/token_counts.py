"""How much of a prompt a base's text encoder reads, known from its tokenizer alone: no weights, no torch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from idgen.recipes.families import FAMILIES
from idgen.recipes.prompt_weights import parse
from idgen.recipes.recipe import Recipe
from idgen.weights.locations import locate

_MARKS = 2
"""Of a prompt's beginning, among the tokens of ChatGLM."""


def cut_counter(recipe: Recipe) -> Callable[[Sequence[str]], list[int]] | None:
    """Return what counts of each text the tokens that are cut off its end; None where none is, or none can be counted.

    What is wrong with a tokenizer is told where it is loaded to be used.
    """
    if recipe.long_prompt == "chunks":
        return None
    base = recipe.base
    try:
        at = locate(base.weights, base.revision)
        folder = (locate(base.config) if at.is_file() and base.config else at) / "tokenizer"
        family = FAMILIES[base.kind]
        return _clip_cut(folder, recipe) if family.clip_text else _pieces_cut(folder, family.text_tokens)
    except Exception:  # tokenizers raises nothing more special, and a warning must not end a run
        return None


def _clip_cut(folder: Path, recipe: Recipe) -> Callable[[Sequence[str]], list[int]] | None:
    if not folder.is_dir():
        return None
    from transformers import CLIPTokenizer  # a second and a half, for runs with long prompts only

    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    room = min(tokenizer.model_max_length, FAMILIES[recipe.base.kind].text_tokens)

    def cut(texts: Sequence[str]) -> list[int]:
        """Count as sampling/prompt_pieces.py does, but for words that a weight parts in the middle."""
        if recipe.prompt_syntax == "weighted":
            texts = ["".join(part for part, _ in parse(text)) for text in texts]
        read = tokenizer(list(texts), split_special_tokens=True, verbose=False).input_ids
        return [max(0, len(ids) - room) for ids in read]

    return cut


def _pieces_cut(folder: Path, room: int) -> Callable[[Sequence[str]], list[int]]:
    from sentencepiece import SentencePieceProcessor

    pieces: Any = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))

    def cut(texts: Sequence[str]) -> list[int]:
        """Count as ChatGLM's tokenizer does."""
        return [max(0, len(ids) + _MARKS - room) for ids in pieces.encode(list(texts))]

    return cut
