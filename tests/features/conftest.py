from pathlib import Path

import pytest
from small_images import encode, write_images


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """11 pictures in 3 row groups."""
    return write_images(tmp_path / "images.parquet", [encode(seed) for seed in range(11)])
