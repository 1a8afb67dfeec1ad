"""Catalogue-scale, identity-preserving image generation as a batch job on Ray."""

__version__ = "0.1.0"
