"""What is computed once per actor: prompt embeddings and identity tokens, in bounded least-recently-used caches."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TypeVar

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from idgen.adapters.protocol import Adapter, Options, Person, Tokens
from idgen.lru_cache import LruCache
from idgen.networks import transfers

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

CACHE_BYTES = 512 * 2**20
"""Of each cache; a prompt of SD1.5 is 0.1 MB in float16, one of Kolors 0.25 MB, FaceID tokens are 25 kB."""
_NUMBERS = "numbers"
"""Of a stored text: tokens cut, and its length or -1."""


@dataclass(slots=True)
class WorkCounts:
    """How often the dear things ran; tests and the run's summary read them."""

    prompt_encodings: int = 0
    token_projections: int = 0
    sampler_calls: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """One prompt's embeddings."""

    embeddings: Tensor
    """[L, D]; with `pad` only the rows behind the padding, which may be none."""
    tokens_cut: int = 0
    """Tokens at the prompt's end that the text encoder has no room for."""
    pooled: Tensor | None = None
    """[P]; None where the base has no use for it."""
    pad: Tensor | None = None
    """[D], the row that all padding in front has; None where no two rows are the same."""
    length: int | None = None
    """L with the padding; None without."""

    @classmethod
    def folded(cls, states: Tensor, tokens_cut: int = 0, pooled: Tensor | None = None) -> "Text":
        """Return the text of `states` [L, D] with its equal rows in front, the padding of Kolors, kept once.

        Nothing is lost: rows count as equal when all their bits are.
        """
        differing = (_bits(states) != _bits(states[:1])).any(1)
        equal = int(differing.int().argmax()) if bool(differing.any()) else len(states)
        if equal < 2:
            return cls(states.clone(), tokens_cut, pooled)
        return cls(states[equal:].clone(), tokens_cut, pooled, states[0].clone(), len(states))

    def whole(self) -> Tensor:
        """Return the embeddings [L, D] with all padding in its place."""
        if self.pad is None or self.length is None:
            return self.embeddings
        return torch.cat([self.pad.expand(self.length - len(self.embeddings), -1), self.embeddings])

    def to(self, device: torch.device, dtype: torch.dtype) -> "Text":
        """Return the same on `device` in `dtype`."""

        def moved(part: Tensor | None) -> Tensor | None:
            """Move what is there."""
            return None if part is None else transfers.upload(part, device, dtype)

        return replace(
            self,
            embeddings=transfers.upload(self.embeddings, device, dtype),
            pooled=moved(self.pooled),
            pad=moved(self.pad),
        )

    @property
    def nbytes(self) -> int:
        """Of its tensors."""
        return sum(part.nbytes for part in self._tensors().values())

    def to_bytes(self) -> bytes:
        """Return it as a safetensors file, every tensor in its dtype."""
        numbers = torch.tensor([self.tokens_cut, -1 if self.length is None else self.length])
        made: bytes = safetensors.torch.save(
            {name: part.cpu().contiguous() for name, part in self._tensors().items()} | {_NUMBERS: numbers}
        )
        return made

    @classmethod
    def from_bytes(cls, data: bytes) -> "Text":
        """Return what `to_bytes` wrote, on the CPU. Raises ValueError for anything else."""
        try:
            parts = safetensors.torch.load(data)
            tokens_cut, length = parts.pop(_NUMBERS).tolist()
            return cls(**parts, tokens_cut=tokens_cut, length=None if length < 0 else length)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"these {len(data)} bytes are not a stored text: {error}") from error

    def _tensors(self) -> dict[str, Tensor]:
        parts = {"embeddings": self.embeddings, "pooled": self.pooled, "pad": self.pad}
        return {name: part for name, part in parts.items() if part is not None}


class PromptCache:
    """Embeddings by prompt. Prompts are encoded one by one: a batch of others must not move the last bit."""

    def __init__(
        self,
        encode: Callable[[str | None], Text],
        counts: WorkCounts,
        max_bytes: int = CACHE_BYTES,
    ) -> None:
        """`encode` makes one prompt's text, and what stands for no prompt of None."""
        self._encode = encode
        self._counts = counts
        self._entries: LruCache[str | None, Text] = LruCache(lambda text: text.nbytes, max_bytes)

    def get(self, prompts: Sequence[str | None], length: int = 0) -> tuple[Tensor, Tensor | None]:
        """Return embeddings [B, L, D] and pooled ones [B, P] or None; None among the prompts is no text at all.

        L is `length` or the longest one's, if that is more; shorter ones are filled up with what nothing gives.
        """
        pooled = [text.pooled for text in map(self._one, prompts) if text.pooled is not None]
        longest = max(length, *map(self.length, prompts))
        embeddings = torch.stack([self._filled(prompt, longest) for prompt in prompts])
        return embeddings, torch.stack(pooled) if pooled else None

    def length(self, prompt: str | None) -> int:
        """Return L of one prompt alone."""
        text = self._one(prompt)
        return len(text.embeddings) if text.length is None else text.length

    def tokens_cut(self, prompt: str | None) -> int:
        """Return how many tokens at the end of `prompt` are not in its embeddings."""
        return self._one(prompt).tokens_cut

    def clear(self) -> None:
        """Forget all prompts."""
        self._entries.clear()

    def _filled(self, prompt: str | None, length: int) -> Tensor:
        """Return a prompt's embeddings [length, D], behind them whole empty pieces: of no text at all its own."""
        states = self._one(prompt).whole()
        if len(states) == length:
            return states
        empty = self._one(None if prompt is None else "").whole()
        return torch.cat([states, *[empty] * ((length - len(states)) // len(empty))])

    def _one(self, prompt: str | None) -> Text:
        return self._entries.get_or_make(prompt, lambda: self._count_and_encode(prompt))

    def _count_and_encode(self, prompt: str | None) -> Text:
        self._counts.prompt_encodings += 1
        return self._encode(prompt)


class TokenCache:
    """Tokens by (identity, adapter, its options)."""

    def __init__(self, counts: WorkCounts, max_bytes: int = CACHE_BYTES) -> None:
        self._counts = counts
        self._entries: LruCache[Hashable, Tokens] = LruCache(_tokens_bytes, max_bytes)

    def get(self, adapter: Adapter, person: Person, options: Options) -> Tokens:
        """Return `person`'s tokens; options that this adapter does not use make no difference."""
        used = {name: options[name] for name in adapter.option_names if name in options}
        key = (adapter.name, _digest(person), tuple(sorted(used.items())))
        return self._entries.get_or_make(key, lambda: self._count_and_encode(adapter, person, used))

    def clear(self) -> None:
        """Forget everybody."""
        self._entries.clear()

    def _count_and_encode(self, adapter: Adapter, person: Person, options: Options) -> Tokens:
        self._counts.token_projections += 1
        return adapter.encode([person], options)[0]


def _digest(person: Person) -> bytes:
    """Return what tells people apart: all that adapters may look at, with its shape."""
    digest = blake2b(digest_size=16)
    parts: dict[str, NDArray[np.generic]] = {"": person.id_embedding, **person.crops}
    for name in sorted(parts):
        digest.update(f"{name} {parts[name].shape} ".encode())
        digest.update(parts[name].tobytes())
    return digest.digest()


def _bits(states: Tensor) -> Tensor:
    """Return `states` as integers: -0.0 is not 0.0, and a NaN is itself."""
    return states.view({2: torch.int16, 4: torch.int32, 8: torch.int64}[states.element_size()])


def _tokens_bytes(tokens: Tokens) -> int:
    return sum(part.nbytes for part in (tokens.cond, tokens.uncond, *(tokens.context or ())))
