"""The recipes and bases that come with the project, read once for all tests of them."""

from idgen.config import Config
from idgen.recipes.book import load_recipes

BOOK = load_recipes(Config())
PLAIN = sorted(name for name in BOOK if "@" not in name)
BASES = sorted({name.partition("@")[2] for name in BOOK} - {""})
FACES = ("instantid", "pulid_v1", "pulid_v1_1", "ecomid")
"""Kinds of adapter of test_shipped_identities.py."""
IDENTITY = [name for name in PLAIN if any(spec.kind in FACES for spec in BOOK[name].adapters)]
