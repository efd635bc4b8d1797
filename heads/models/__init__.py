"""Heads: embeddings and pair classifiers, their layers and the registry."""
