"""The features directory: features.npy and its checked sidecar, and concatenation."""
