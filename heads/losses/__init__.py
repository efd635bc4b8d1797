"""Losses: one module per kind, and the registry of their names."""
