"""Workers that decode start when they are asked for, not with the first batch."""

import multiprocessing

import numpy as np

from features.backbones.preprocess import Preprocess
from features.extraction.loader import load_images


def test_workers_decode_while_the_network_is_made_ready(images):
    batches = [np.arange(4), np.arange(4, 8)]
    before = len(multiprocessing.active_children())
    loaded = load_images(images, batches, preprocess=Preprocess(8, 8), crops=0, workers=1, pin_memory=False)
    assert len(multiprocessing.active_children()) == before + 1
    assert [pixels.shape for pixels in loaded] == [(4, 1, 3, 8, 8)] * 2
