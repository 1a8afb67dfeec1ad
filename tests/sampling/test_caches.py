"""Caches give back what was made, keep apart what differs, and stay bounded."""

import pytest
import torch
from doubles.tiny_recipe import person

from idgen.adapters.protocol import Person, Tokens
from idgen.sampling.caches import PromptCache, Text, TokenCache, WorkCounts


def encode(prompt):
    return Text(torch.full((3, 2), float(len(prompt))), tokens_cut=max(0, len(prompt) - 1))


class WithOption:
    """An adapter whose tokens depend on one option."""

    name = "x"
    option_names = ("shortcut_scale",)

    def encode(self, people, options):
        tokens = torch.full((1, 2, 3), options.get("shortcut_scale", 1.0))
        return [Tokens(tokens, tokens * 0) for _ in people]


def test_each_prompt_is_encoded_once_and_none_is_not_the_empty_one():
    counts = WorkCounts()
    cache = PromptCache(
        lambda prompt: Text(torch.full((3, 2), -1.0), 0, torch.ones(4)) if prompt is None else encode(prompt), counts
    )
    embeddings, _ = cache.get([None, "", "abc", None])
    assert embeddings[:, 0, 0].tolist() == [-1.0, 0.0, 3.0, -1.0]
    assert counts.prompt_encodings == 3
    assert cache.tokens_cut("abc") == 2
    cache.clear()
    cache.get(["abc"])
    assert counts.prompt_encodings == 4


def test_a_prompt_larger_than_the_cache_is_encoded_once_for_all_that_is_asked_of_it():
    counts = WorkCounts()
    cache = PromptCache(encode, counts, max_bytes=1)
    cache.get(["abc"])
    assert cache.length("abc") == 3
    assert cache.tokens_cut("abc") == 2
    assert counts.prompt_encodings == 1


def test_pooled_embeddings_come_with_their_prompts():
    cache = PromptCache(lambda prompt: Text(torch.zeros(3, 2), 0, torch.full((4,), float(len(prompt)))), WorkCounts())
    _, pooled = cache.get(["a", "abc"])
    assert pooled[:, 0].tolist() == [1.0, 3.0]
    assert PromptCache(encode, WorkCounts()).get(["a"])[1] is None


def test_tokens_are_kept_by_person_and_by_the_options_the_adapter_uses():
    counts = WorkCounts()
    cache = TokenCache(counts)
    one = Person(person(1))
    for options in ({}, {"shortcut_scale": 2.0}, {"shortcut_scale": 2.0, "other": 1.0}, {}):
        cache.get(WithOption(), one, options)
    assert counts.token_projections == 2
    assert cache.get(WithOption(), one, {"shortcut_scale": 2.0}).cond[0, 0, 0] == 2
    cache.get(WithOption(), Person(person(2)), {})
    assert counts.token_projections == 3


def padded(real, length=256, dtype=torch.float16):
    """`real` rows of their own behind rows that are all the same."""
    states = torch.randn(length, 8, generator=torch.Generator().manual_seed(real)).to(dtype)
    states[: length - real] = states[0].clone()
    return states


def same_bits(one, other):
    return one.dtype == other.dtype and one.numpy().tobytes() == other.numpy().tobytes()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("real", [0, 1, 2, 30, 254, 255, 256])
def test_padding_is_kept_once_and_comes_back_to_the_bit(real, dtype):
    states = padded(real, dtype=dtype)
    text = Text.folded(states, tokens_cut=3, pooled=states[-1] * 2)
    rows = 256 if real >= 255 else real  # a single row of padding saves nothing
    assert text.embeddings.shape == (rows, 8)
    assert (text.pad is None) == (text.length is None) == (rows == 256)
    assert same_bits(text.whole(), states)
    kept = sum(part.nbytes for part in (text.embeddings, text.pooled, text.pad) if part is not None)
    assert text.nbytes == kept <= (rows + 2) * 8 * states.element_size()
    assert text.embeddings.untyped_storage().nbytes() == text.embeddings.nbytes


@pytest.mark.parametrize("real", [0, 1, 256])
def test_a_stored_text_is_what_it_was(real):
    text = Text.folded(padded(real), tokens_cut=3, pooled=torch.ones(5, dtype=torch.float16))
    read = Text.from_bytes(text.to_bytes())
    assert (read.tokens_cut, read.length) == (3, text.length)
    assert same_bits(read.whole(), padded(real))
    assert same_bits(read.pooled, text.pooled)
    assert Text.from_bytes(Text(torch.zeros(3, 2)).to_bytes()).pooled is None


def test_bfloat16_is_stored_as_it_is():
    text = Text.folded(padded(2, dtype=torch.bfloat16))
    read = Text.from_bytes(text.to_bytes())
    assert read.embeddings.dtype == torch.bfloat16
    assert torch.equal(read.whole(), text.whole())


def test_what_is_no_stored_text_is_told():
    whole = Text.folded(padded(2)).to_bytes()
    for data in (b"", b"{}", whole[:-1], whole[:40]):
        with pytest.raises(ValueError, match=f"these {len(data)} bytes are not a stored text"):
            Text.from_bytes(data)


def test_rows_with_equal_values_but_other_bits_are_no_padding():
    states = torch.zeros(4, 2)
    states[2:, 0] = -0.0
    text = Text.folded(states)
    assert text.embeddings.shape == (2, 2)
    assert same_bits(text.whole(), states)


def test_prompts_come_out_of_the_cache_with_their_padding():
    cache = PromptCache(
        lambda prompt: Text.folded(padded(len(prompt)), 0, torch.ones(4)), WorkCounts(), max_bytes=10_000
    )
    embeddings, pooled = cache.get(["", "abc", "a" * 256])
    assert embeddings.shape == (3, 256, 8)
    assert pooled.shape == (3, 4)
    for row, real in enumerate((0, 3, 256)):
        assert same_bits(embeddings[row], padded(real))
