"""Samplers, batches, mining, the training loop and the choice of the epoch."""
