"""Images to vectors: backbones, preprocessing, extraction, and the features directory that cannot go stale."""
