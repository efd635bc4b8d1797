"""Training a network on images with the losses and batches of heads."""
