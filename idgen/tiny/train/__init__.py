"""Trains the tiny world: `python -m idgen.tiny.train <folder> [stage…]`. Only this package trains; nothing imports it.

The order of stages, each one file: render (drawings.py), judge, autoencoder, latents, critic, sd15, sdxl, kolors, then
adapters on the frozen bases, export, evaluate. How long each is: plan.py. What was measured: journal.jsonl.
"""
