"""What becomes of images that cannot be used, and of odd ones: each is listed, and nothing else moves."""

import multiprocessing
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from built import classes, made, pair_source, prepare
from pictures import class_folder, encoded, picture, png

from data.cores import cores
from data.datasets.folder import folder
from data.errors import DataError
from data.images.decode import Unusable
from data.preparation import check as checking
from data.preparation.check import check_all
from data.tables.rows import read_images, read_rows

TOP = Path(__file__).parents[3]


def test_rejected_images_are_listed_counted_and_nothing_else_moves(tmp_path):
    contents = classes()
    contents |= {"c1/3": b"<html>", "c2/5": png(205)[:-30], "c3/7": Unusable("Permission denied")}
    protocol = prepare(made(contents), tmp_path, max_rejected=0.1)
    assert [(image.id, image.reason) for image in protocol.rejected] == [
        ("c1/3", "unreadable"),
        ("c2/5", "truncated"),
        ("c3/7", "Permission denied"),
    ]
    assert protocol.counts["rejected"] == {"Permission denied": 1, "truncated": 1, "unreadable": 1}
    rows = read_rows(tmp_path / "rows.parquet")
    assert set(rows.id) == set(contents) - {"c1/3", "c2/5", "c3/7"}
    for row, content in enumerate(read_images(tmp_path / "images.parquet", np.arange(len(rows)))):
        assert content == contents[rows.id[row]]


def test_too_many_rejected_is_said_and_nothing_is_written(tmp_path):
    contents = classes() | {f"c0/{index}": b"" for index in range(7)}
    said = (
        r"data\.max_rejected: 7 of 40 images of own cannot be used, 10% may be: c0/0 \(unreadable\), .*c0/4 "
        r"\(unreadable\) and 2 more; mend or remove them, or raise data\.max_rejected"
    )
    with pytest.raises(DataError, match=said):
        prepare(made(contents), tmp_path, max_rejected=0.1)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="2 of 2 images of own cannot be used, 100% may be"):
        prepare(made({"a/1": b"", "b/1": b""}), tmp_path, max_rejected=1.0)


def test_a_partner_of_a_rejected_image_goes_too_and_is_listed(tmp_path):
    protocol = prepare(
        pair_source(30, **{"left/03": b"", "right/05": b""}), tmp_path, split_by="group", max_rejected=0.1
    )
    assert [(image.id, image.reason) for image in protocol.rejected] == [
        ("left/03", "unreadable"),
        ("right/05", "unreadable"),
        ("left/05", "partner"),
        ("right/03", "partner"),
    ]
    rows = read_rows(tmp_path / "rows.parquet")
    assert len(rows) == 56
    assert set(Counter(rows.group).values()) == {2}
    assert set(protocol.pairs) == {"val", "test"}
    assert "test_seen" not in protocol.counts["splits"]


def test_an_animation_is_noted(tmp_path):
    frames = [picture(seed, mode="P") for seed in (901, 902)]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    protocol = prepare(made(classes() | {"c0/0": moving}), tmp_path)
    assert protocol.notes == ("1 animated images: the first frame is used",)


def test_worker_processes_answer_as_one_process_does(monkeypatch):
    contents = [png(seed) if seed % 5 else Unusable("Is a directory") for seed in range(60)] + [b"", png(1)[:-20]]
    alone = list(check_all(contents, len(contents)))
    monkeypatch.setattr(checking, "_IN_PROCESS", 0)
    monkeypatch.setattr(checking, "_CHUNK_IMAGES", 7)
    together = list(check_all(iter(contents), len(contents)))
    assert [getattr(answer, "reason", answer) for answer in together] == [getattr(a, "reason", a) for a in alone]


def test_a_killed_worker_process_is_one_line(monkeypatch):
    monkeypatch.setattr(checking, "_IN_PROCESS", 0)
    monkeypatch.setattr(checking, "cores", lambda: 2)

    def contents():
        for number in range(2000):
            if number == 1000:
                for child in multiprocessing.active_children():
                    child.kill()
            yield png(1)

    with pytest.raises(DataError, match="free some memory"):
        list(check_all(contents(), 2000))


def test_a_thousand_damaged_files_in_a_folder_are_each_accounted_for(tmp_path):
    rng = np.random.default_rng(1)
    forms = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")
    whole = {(f, i): encoded(picture(i, (20 + i, 17)), forms[f]) for f in range(8) for i in range(5)}
    class_folder(tmp_path / "in", 4, 20, start=5000)
    for index in range(1000):
        content = bytearray(whole[index % 8, index % 5])
        place = int(rng.integers(len(content)))
        match index % 3:
            case 0:
                content[place] ^= int(rng.integers(1, 256))
            case 1:
                del content[place:]
            case 2:
                content[place:place] = rng.bytes(20)
        (tmp_path / "in" / f"class{index % 4}" / f"broken{index}.{forms[index % 8].lower()}").write_bytes(content)
    protocol = prepare(folder(tmp_path / "in", "class"), tmp_path / "out", max_rejected=1.0)
    rows = read_rows(tmp_path / "out" / "rows.parquet")
    assert len(protocol.rejected) > 300
    names = {str(path.relative_to(tmp_path / "in")) for path in (tmp_path / "in").rglob("*.*")}
    assert {*rows.id, *(image.id for image in protocol.rejected)} == names
    assert len(rows) + len(protocol.rejected) == len(names) == 1080
    for name, content in zip(
        rows.id, read_images(tmp_path / "out" / "images.parquet", np.arange(len(rows))), strict=True
    ):
        assert content == (tmp_path / "in" / name).read_bytes()


FOREVER = """
import sys
from data.preparation.check import check_all
from pictures import png

def contents():
    while True:
        yield png(1)

if __name__ == "__main__":
    for number, _ in enumerate(check_all(contents(), 10**9)):
        if number == 300:
            print("working", flush=True)
"""


def test_worker_processes_end_when_the_main_process_is_killed(tmp_path):
    script = tmp_path / "forever.py"
    script.write_text(FOREVER)
    path = os.pathsep.join(str(TOP / folder) for folder in ("", "tests/helpers"))
    main = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path
    )
    try:
        assert main.stdout is not None
        if cores() < 2:
            pytest.skip("one core: everything is done in the main process")
        assert main.stdout.readline() == b"working\n"
        children = psutil.Process(main.pid).children(recursive=True)
        assert len(children) >= 2
    finally:
        main.kill()
        main.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]
