"""Vectors to similarity: models, losses, batches and mining, training, scores."""
