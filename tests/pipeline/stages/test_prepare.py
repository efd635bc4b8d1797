"""`prepare`, `audit` and `datasets` as a person calls them."""

import errno
import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.error import URLError
from zipfile import ZipFile

import numpy as np
import pytest
from pictures import png
from PIL import Image
from ruamel.yaml import YAML

from data.catalogue import CATALOGUE
from data.errors import DataError
from data.settings import DataSettings
from data.tables.protocol import read_protocol
from data.tables.rows import read_families, read_rows
from pipeline.commands import audit, datasets
from pipeline.errors import ParamError
from pipeline.params import Params, parse_params
from pipeline.stages.prepare import run

TOP = Path(__file__).parents[3]
MIRROR = TOP.parent / "shared" / "datasets"
real_data = pytest.mark.skipif(not MIRROR.exists(), reason="the mirror of real data is not here")


def params(**data) -> Params:
    raw = YAML(typ="safe").load((TOP / "params.yaml").read_text())
    raw["data"] |= data
    return parse_params(raw)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def photos(top: Path, *, classes=("cats", "Hündchen", "日本", "new\nline"), each=12, start=0) -> Path:
    rng = np.random.default_rng(start)
    for group in classes:
        (top / group).mkdir(parents=True, exist_ok=True)
        for index in range(start, start + each):
            pixels = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize((60, 48))
            pixels.save(top / group / f"photo {index}.JPG", "JPEG")
    return top


def test_the_catalogue_is_complete_and_params_hold_the_defaults():
    assert DataSettings() == params().data
    for entry in CATALOGUE.values():
        assert entry.description
        assert entry.source
        assert entry.licence


def test_prepare_imports_no_torch():
    code = (
        "import sys, pipeline.stages.prepare; sys.exit(any(name in sys.modules for name in ('torch', 'torchvision')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=TOP, check=False).returncode == 0


def test_emoji(here, capsys):
    run(params())
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "emoji: 3,888 images, 1,944 groups (pair)"
    assert len(said) <= 8
    protocol = read_protocol(here / "artifacts" / "emoji" / "protocol.json")
    rows = read_rows(here / "artifacts" / "emoji" / "rows.parquet")
    shares = {name: count / len(rows) for name, count in Counter(rows.split).items()}
    assert shares == pytest.approx({"train": 0.6, "val": 0.1, "test": 0.3}, abs=0.002)
    assert protocol.candidates.candidates.shape == (583, 20)
    assert (rows.role[protocol.candidates.query] == "left").all()
    assert (rows.role[protocol.candidates.candidates] == "right").all()
    assert (rows.seen == (rows.split == "train")).all()
    assert "CC-BY 4.0" in protocol.licence
    assert "CC BY-SA 4.0" in protocol.licence
    found = audit.audit(rows, protocol, audit.read_dhashes(here / "artifacts" / "emoji" / "rows.parquet"))
    families = read_families(here / "artifacts" / "emoji" / "rows.parquet")
    splits_of = dict.fromkeys(families, "")
    for name, where in zip(families, rows.split, strict=True):
        assert splits_of[name] in ("", where)  # variants of one idea never straddle splits
        splits_of[name] = where
    assert len(splits_of) < len(set(rows.group))
    assert found.identical == []
    assert found.straddling == []


def test_a_folder_of_photos_with_odd_names(here, capsys):
    photos(here / "photos")
    (here / "photos" / "cats" / "broken.jpg").write_bytes((here / "photos" / "cats" / "photo 1.JPG").read_bytes()[:700])
    (here / "photos" / "cats" / "page.jpg").write_text("<!DOCTYPE html>")
    run(params(name="folder", path="photos"))
    said = capsys.readouterr().out
    assert "folder: 48 images, 4 groups (class)" in said
    assert (
        "REJECTED 2: 1 truncated, 1 unreadable (cats/broken.jpg, cats/page.jpg); all are listed in protocol.json"
        in said
    )
    assert "candidate lists of 13 (the test is small)" in said
    audit.run(params(name="folder", path="photos"), here / "near.html")
    said = capsys.readouterr().out
    assert "rejected: 1 truncated, 1 unreadable" in said
    assert "  cats/page.jpg: unreadable not an image in a known format" in said
    assert "groups that only train: none" in said
    photos(here / "photos", start=100, each=1)
    run(params(name="folder", path="photos"))
    assert "folder: 52 images" in capsys.readouterr().out


def test_small_classes_are_decided_in_prepare_and_shown_by_audit(here, capsys):
    top = photos(here / "photos", classes=tuple(f"c{index:02}" for index in range(12)), each=10)
    photos(top, classes=("lone", "lost", "last"), each=1, start=500)
    mine = params(name="folder", path="photos")
    run(mine)
    said = capsys.readouterr().out
    assert "3 groups have too few images to be tested, and only train (last: 1, lone: 1, lost: 1)" in said
    protocol = read_protocol(here / "artifacts" / "folder" / "protocol.json")
    assert set(protocol.pairs) == {"val", "test_seen"}
    audit.run(mine, None)
    assert "groups that only train: 3 (last, lone, lost)" in capsys.readouterr().out


def test_the_folder_of_the_transfer_learning_tutorial(here, capsys):
    for part, start in (("train", 0), ("val", 500)):
        photos(here / "hymenoptera_data" / part, classes=("ants", "bees"), each=20, start=start)
    run(params(name="folder", path="hymenoptera_data"))
    said = capsys.readouterr().out
    assert "folder: 80 images, 2 groups (class)" in said
    assert "val is kept, and a test is drawn from train" in said
    rows = read_rows(here / "artifacts" / "folder" / "rows.parquet")
    assert {name.split("/")[0] for name in rows.id[rows.split == "val"]} == {"val"}
    assert {name.split("/")[0] for name in rows.id[rows.split != "val"]} == {"train"}
    assert rows.seen.all()


def test_a_benchmark_from_a_mirror(here, capsys):
    statuses = ["train"] * 4 + ["query", "gallery"] * 2
    names = [f"img/WOMEN/id_{group:08d}/0{i}.jpg" for group in range(16) for i in range(4)]
    lines = [
        f"{name} {name.split('/')[2]} {statuses[index % 4 + 4 * (index >= 32)]}" for index, name in enumerate(names)
    ]
    top = here / "mirror" / "in_shop"
    top.mkdir(parents=True)
    (top / "list_eval_partition.txt").write_text("\n".join(["64", "image_name item_id evaluation_status", *lines]))
    with ZipFile(top / "img.zip", "w") as archive:
        for index, name in enumerate(names):
            archive.writestr(name, png(index))
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  in_shop/{file.name}" for file in sorted(top.iterdir())]
    (here / "mirror" / "SHA256SUMS").write_text("\n".join(sums))
    run(params(name="in_shop", mirror=str(here / "mirror")))
    assert "in_shop: 64 images, 16 groups (product)" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"data\.path: .* -S data\.name=in_shop"):
        run(params(name="in_shop"))


def test_an_audit_shows_near_copies(here, capsys):
    photos(here / "photos")
    rows_of = lambda: read_rows(here / "artifacts" / "folder" / "rows.parquet")  # noqa: E731
    run(params(name="folder", path="photos"))
    rows = rows_of()
    one = rows.id[rows.split == "test"][0]
    copy = here / "photos" / rows.group[rows.id == one][0] / "again.png"
    Image.open(here / "photos" / one).resize((120, 96)).save(copy)
    for seed in range(20):  # until chance puts the two into different splits
        run(params(name="folder", path="photos").model_copy(update={"seed": seed}))
        rows = rows_of()
        if len(set(rows.split[np.isin(rows.id, [one, f"{one.rsplit('/', 1)[0]}/again.png"])])) == 2:
            break
    capsys.readouterr()
    audit.run(params(name="folder", path="photos"), here / "near.html")
    said = capsys.readouterr().out
    assert "again.png" in said
    assert "1 pairs in" in said


def test_names_and_levels_that_are_not_there_are_said(here):
    with pytest.raises(DataError, match=r"data\.name: no 'emojy'; did you mean 'emoji'\?"):
        run(params(name="emojy"))
    with pytest.raises(ParamError, match=r"data\.group: folder has no level 'clas'; did you mean 'class'\?"):
        run(params(name="folder", path="x", group="clas"))
    with pytest.raises(DataError, match=r"data\.path: say where your data lie"):
        run(params(name="folder"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"seen": 0}, "data.seen: 0: training must see at least one group"),
        ({"seen": 1.5}, "data.seen: 1.5: a share lies above 0 and is at most 1; a count has no decimal point"),
        ({"seen": "cats"}, "data.seen: 'cats': give a share (0.5), a count (50) or a list of groups"),
        ({"seen": []}, "data.seen: an empty list: training would see nothing"),
        ({"seen": True}, "data.seen: True: give a share"),
        ({"folds": 5, "fold": 5}, "data: data.fold is 5, and data.folds 5: folds are 0 to 4"),
        (
            {"splits": {"train": 0.6, "val": 0.1, "test": 0.4}},
            "data.splits: train, val and test add up to 1.1, not to 1",
        ),
        ({"max_rejected": 2}, "data.max_rejected: 2: input should be less than or equal to 1"),
        ({"lmit": 3}, "data.lmit: no such key; did you mean 'limit'?"),
    ],
)
def test_impossible_values_are_said(data, said):
    with pytest.raises(ParamError) as error:
        params(**data)
    assert said in str(error.value)


def test_seen_takes_shares_counts_and_names():
    assert params(seen=0.5).data.seen == 0.5
    assert params(seen=1).data.seen == 1
    assert isinstance(params(seen=1.0).data.seen, float)
    assert params(seen=[1, "b"]).data.seen == ("1", "b")


def test_no_network_is_said_with_the_size_and_the_place(here, monkeypatch):
    def refuse(*args, **kwargs):
        raise URLError(ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)))

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(
        DataError, match=r"Connection refused; download .*gz \(9\.9 MB\) by other means into .*cache/mnist, or"
    ):
        run(params(name="mnist"))


def test_datasets_says_what_is_here_and_what_a_download_costs(here, capsys):
    folder = here / "cache" / "omniglot"
    folder.mkdir(parents=True)
    (folder / "images_background.zip").write_bytes(b"")
    datasets.run()
    said = capsys.readouterr().out
    assert "\nmnist          to download: 11.6 MB\n" in said
    assert "\nomniglot       to download: 6.5 MB\n" in said
    assert "\ntiny_imagenet  to download: 248.1 MB\n" in said
    assert "emoji          here\n" in said
    assert "    tiny-imagenet-200.zip: 248.1 MB, md5 90528d7ca1a48142e341f4ef8d21d0de\n" in said
    assert "licence: MIT" in said


@real_data
def test_the_real_challenge_keeps_its_queries(here, capsys):
    run(params(name="tll", mirror=str(MIRROR)))
    assert "submit" in capsys.readouterr().out
    protocol = read_protocol(here / "artifacts" / "tll" / "protocol.json")
    rows = read_rows(here / "artifacts" / "tll" / "rows.parquet")
    assert protocol.submit.candidates.shape == (20, 20)
    assert protocol.counts["splits"]["test"] == {"images": 180, "groups": 90}
    assert set(rows.split[protocol.submit.candidates.ravel()]) == {"submit"}


@pytest.mark.slow
@real_data
def test_five_folds_test_each_pair_of_the_challenge_once(here):
    tested = []
    for fold in range(5):
        run(params(name="tll", mirror=str(MIRROR), folds=5, fold=fold))
        rows = read_rows(here / "artifacts" / "tll" / "rows.parquet")
        groups = {name: set(rows.group[rows.split == name]) for name in ("train", "val", "test")}
        assert not groups["test"] & (groups["train"] | groups["val"])
        assert len(groups["test"]) == pytest.approx(60, abs=6)
        tested += groups["test"]
    assert sorted(tested) == sorted(set(rows.group[rows.split != "submit"]))


@real_data
def test_real_digits_with_unseen_ones(here):
    run(params(name="mnist", mirror=str(MIRROR), limit=2000, seen=6, episodes={"count": 20}))
    protocol = read_protocol(here / "artifacts" / "mnist" / "protocol.json")
    assert protocol.episodes["test_unseen"].way == 4
    assert protocol.counts["splits"]["test_unseen"]["groups"] == 4
    rows = read_rows(here / "artifacts" / "mnist" / "rows.parquet")
    assert set(rows.group[rows.split == "train"]) == set("012345")


@pytest.mark.slow
@real_data
@pytest.mark.parametrize(("name", "images", "seconds"), [("mnist", 70_000, 60), ("omniglot", 32_460, 40)])
def test_figures(tmp_path, name, images, seconds):
    """What issue 3 asks of two quiet cores, memory included."""
    config = YAML(typ="safe").load((TOP / "params.yaml").read_text())
    config["data"] |= {"name": name, "mirror": str(MIRROR)}
    YAML().dump(config, tmp_path / "params.yaml")
    code = (
        "import os, resource, time; start = time.perf_counter(); from pathlib import Path; "
        "from pipeline.params import load_params; from pipeline.stages.prepare import run; run(load_params()); "
        "most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss; "
        # Of this process VmHWM: its ru_maxrss is at least that of the process that started it.
        "most = max(most, int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])); "
        "print(time.perf_counter() - start, sum(os.times()[:4]), most)"
    )
    env = {**os.environ, "PYTHONPATH": str(TOP), "LOOKALIKE_CACHE": str(tmp_path / "cache")}
    quiet = os.getloadavg()[0] < 0.5
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    took, processor, kilobytes = map(float, done.stdout.split()[-3:])
    assert read_protocol(tmp_path / "artifacts" / name / "protocol.json").counts["images"] == images
    assert processor < 2 * seconds
    assert took < seconds or not quiet
    assert kilobytes * 3 < 1_000_000  # the parent and two workers
