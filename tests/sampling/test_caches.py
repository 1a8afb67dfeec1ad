"""Caches give back what was made, keep apart what differs, and stay bounded."""

import torch
from doubles.tiny_recipe import person

from idgen.adapters.protocol import Person, Tokens
from idgen.sampling.caches import Bounded, Counts, PromptCache, Text, TokenCache


def encode(prompt):
    return Text(torch.full((3, 2), float(len(prompt))), tokens_cut=max(0, len(prompt) - 1))


class WithOption:
    """An adapter whose tokens depend on one option."""

    name = "x"
    option_names = ("shortcut_scale",)

    def encode(self, people, options):
        tokens = torch.full((1, 2, 3), options.get("shortcut_scale", 1.0))
        return [Tokens(tokens, tokens * 0) for _ in people]


def test_what_was_not_used_for_longest_goes_first():
    cache = Bounded(len, max_bytes=4)
    for key in "ab":
        cache.get(key, lambda: "xx")
    cache.get("a", lambda: "never made")
    cache.get("c", lambda: "yy")
    assert len(cache) == 2
    assert cache.get("a", lambda: "made again") == "xx"
    assert cache.get("b", lambda: "zz") == "zz"


def test_an_entry_larger_than_the_cache_is_still_given():
    assert Bounded(len, max_bytes=1).get("a", lambda: "xxx") == "xxx"


def test_each_prompt_is_encoded_once_and_none_is_not_the_empty_one():
    counts = Counts()
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


def test_pooled_embeddings_come_with_their_prompts():
    cache = PromptCache(lambda prompt: Text(torch.zeros(3, 2), 0, torch.full((4,), float(len(prompt)))), Counts())
    _, pooled = cache.get(["a", "abc"])
    assert pooled[:, 0].tolist() == [1.0, 3.0]
    assert PromptCache(encode, Counts()).get(["a"])[1] is None


def test_tokens_are_kept_by_person_and_by_the_options_the_adapter_uses():
    counts = Counts()
    cache = TokenCache(counts)
    one = Person(person(1))
    for options in ({}, {"shortcut_scale": 2.0}, {"shortcut_scale": 2.0, "other": 1.0}, {}):
        cache.get(WithOption(), one, options)
    assert counts.token_projections == 2
    assert cache.get(WithOption(), one, {"shortcut_scale": 2.0}).cond[0, 0, 0] == 2
    cache.get(WithOption(), Person(person(2)), {})
    assert counts.token_projections == 3
