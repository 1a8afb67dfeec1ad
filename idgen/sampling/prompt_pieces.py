"""How a recipe reads prompts: as the stock pipelines do, with weights, and past the text encoder's 75 tokens."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from idgen.recipes.prompt_weights import holds_marks, parse
from idgen.recipes.recipe import Recipe

_LEAST = 1e-6
"""A mean so near to 0 says nothing about strength."""


class Tokens(Protocol):
    """What a tokenizer gives."""

    @property
    def input_ids(self) -> Any:  # noqa: ANN401 - as was asked for
        """Tensor [1, L] where tensors are asked for, else a list."""
        ...


class Tokenizer(Protocol):
    """What is used of the tokenizers of transformers, which carry no types."""

    model_max_length: int
    bos_token_id: int
    eos_token_id: int
    pad_token_id: int

    def __call__(self, text: str, **options: object) -> Tokens:
        """Return the tokens of a text."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What differs from the stock pipelines."""

    weighted: bool = False
    chunks: bool = False

    @classmethod
    def of(cls, recipe: Recipe) -> "Reading":
        """Return how `recipe` reads prompts."""
        return cls(recipe.prompt_syntax == "weighted", recipe.long_prompt == "chunks")


STOCK = Reading()


@dataclass(frozen=True, slots=True)
class Piece:
    """What the text encoder reads at a time."""

    ids: Tensor
    """[1, L], with the marks of start and end, filled up."""
    weights: Tensor | None = None
    """[L], 1 at the marks; None where nothing is weighed."""

    def weigh(self, states: Tensor) -> Tensor:
        """Return the piece's `states` [L, D], each token's times its weight, all as strong in the mean as before."""
        if self.weights is None:
            return states
        before = states.float()
        after = before * self.weights.to(states.device)[:, None]
        mean = after.mean()
        restored = torch.where(mean.abs() < _LEAST, 1.0, before.mean() / mean)
        return (after * restored).to(states.dtype)


def pieces(tokenizer: Tokenizer, prompt: str, reading: Reading) -> tuple[list[Piece], int]:
    """Return the pieces of a prompt, one at least, and how many tokens were cut at its end.

    Without weights and with room for all, it is what tokenize gives: one piece, the same to the last token.
    """
    parts = parse(prompt) if reading.weighted else [(prompt, 1.0)]
    if all(weight == 1 for _, weight in parts):
        text = "".join(text for text, _ in parts)
        ids, cut = tokenize(tokenizer, text)
        if not (cut and reading.chunks):
            return [Piece(ids)], cut
        parts = [(text, 1.0)]
    ids_of, weights = _content(tokenizer, parts)
    room = tokenizer.model_max_length - 2
    starts = range(0, max(1, len(ids_of)), room) if reading.chunks else (0,)
    made = [_piece(tokenizer, ids_of[at : at + room], weights[at : at + room], room) for at in starts]
    return made, 0 if reading.chunks else max(0, len(ids_of) - room)


def tokenize(tokenizer: Tokenizer, prompt: str) -> tuple[Tensor, int]:
    """Return ids [1, L], padded or cut to the text encoder's room, and how many tokens were cut at the end.

    As `encode_prompt` of the pipelines does, which would write overlong prompts into the log, and would take the text
    `<|endoftext|>` for the end of the prompt: nobody's text is a special token here.
    """
    room = tokenizer.model_max_length
    read = functools.partial(tokenizer, prompt, split_special_tokens=holds_marks(prompt))
    tokens = read(padding="max_length", max_length=room, truncation=True, return_tensors="pt")
    whole = len(read(verbose=False).input_ids)
    return tokens.input_ids, max(0, whole - room)


def _content(tokenizer: Tokenizer, parts: Sequence[tuple[str, float]]) -> tuple[list[int], list[float]]:
    """Return the tokens of all parts, without marks, and the weight of each."""
    ids: list[int] = []
    weights: list[float] = []
    for text, weight in parts:
        plain = holds_marks(text)
        own = tokenizer(text, add_special_tokens=False, split_special_tokens=plain, verbose=False).input_ids
        ids += own
        weights += [weight] * len(own)
    return ids, weights


def _piece(tokenizer: Tokenizer, ids: list[int], weights: list[float], room: int) -> Piece:
    filled = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id, *[tokenizer.pad_token_id] * (room - len(ids))]
    if all(weight == 1 for weight in weights):
        return Piece(torch.tensor([filled]))
    return Piece(torch.tensor([filled]), torch.tensor([1.0, *weights, 1.0, *[1.0] * (room - len(ids))]))
