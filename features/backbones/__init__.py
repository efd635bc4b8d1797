"""Pretrained networks: the registry, one module per library, weights and preprocessing."""
