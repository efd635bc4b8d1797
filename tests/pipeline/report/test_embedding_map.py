import io

import numpy as np
import pytest
from PIL import Image

from pipeline.report.embedding_map import COLOURS, PAD, SIDE, draw_plane, place


def jpeg(colour):
    stream = io.BytesIO()
    Image.new("RGB", (30, 30), colour).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def test_two_numbers_are_their_own_plane():
    plane = place(np.array([[0, 5], [10, 5], [5, 15]], np.float32), cosine=False)
    np.testing.assert_allclose(plane, [[0, 0], [1, 0], [0.5, 1]])


def test_constant_embeddings_are_one_point():
    assert np.isfinite(place(np.ones((5, 2), np.float32), cosine=False)).all()


@pytest.mark.parametrize("cosine", [True, False])
def test_clusters_stay_together_and_the_map_is_repeatable(cosine):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 15)
    embeddings = (np.eye(3, 20)[groups] * 8 + rng.normal(size=(45, 20)) * 0.3).astype(np.float32)
    plane = place(embeddings, cosine=cosine)
    np.testing.assert_array_equal(plane, place(embeddings, cosine=cosine))
    gaps = np.linalg.norm(plane[:, None] - plane, axis=2)
    same = groups[:, None] == groups
    assert gaps[same].max() < gaps[~same].min()


def test_thumbnails_lie_where_their_points_are():
    points = np.array([[0.0, 0.0], [1.0, 1.0]])
    content = draw_plane(points, [jpeg("red"), jpeg("blue")], colours=np.array([0, 1]), links=np.array([[0, 1]]))
    image = Image.open(io.BytesIO(content))
    assert image.size == (SIDE, SIDE)
    red, blue = image.getpixel((PAD, PAD)), image.getpixel((SIDE - PAD, SIDE - PAD))
    assert red[0] > 200 > red[2]
    assert blue[2] > 200 > blue[0]
    assert len(COLOURS) == 10
