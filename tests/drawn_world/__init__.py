"""Trains the drawn world: `python -m drawn_world <folder> [stage…]`. The product imports nothing of it.

The stages, each one file, and what was measured: README.md. How long each is: plan.py.
"""
