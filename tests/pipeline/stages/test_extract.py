"""The stages `extract` and `concat` and the verb `verify`, on a small data set and a small random network."""

import errno
import os
import resource
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from small_images import encode, write_images

from data.tables.rows import read_rows
from features.errors import FeatureError
from features.extraction.precision import LEAST_COSINE
from features.storage.features_files import load_features, read_sidecar, save_features
from pipeline.commands import verify
from pipeline.errors import ParamError
from pipeline.params import Params, parse_params
from pipeline.stages import concat, extract

pytestmark = pytest.mark.forward

SMALL = {"library": "torchvision", "model": "resnet18", "weights": "random", "pixels": 32}

FEATURES = {"backbones": ["small", "large"], "batch": 4, "workers": 0}


def settings(**changes) -> Params:
    raw = {
        "data": {"name": "emoji"},
        "backbones": {"small": SMALL, "large": SMALL | {"pixels": 48}},
        "features": FEATURES,
        "concatenations": {"both": {"features": ["small", "large"]}},
        "head": {"features": "both"},
    }
    return parse_params(raw | changes)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    source = write_images(Path("artifacts/emoji/images.parquet"), [encode(seed) for seed in range(11)])
    Path("artifacts/emoji/rows.parquet").write_bytes(source.read_bytes())
    return source


def features(name: str) -> Path:
    return Path("artifacts/emoji/features") / name


def test_one_line_and_a_checked_set(project, capsys):
    extract.run(settings(), "small")
    line = capsys.readouterr().out
    assert line.startswith("extract small: 11 images, 11 run, ") and line.count("\n") == 1
    assert line.endswith("-> artifacts/emoji/features/small [11, 512]\n")
    loaded = load_features(features("small"), images_hash=read_rows(project).images_hash)
    assert loaded.shape == (11, 512)
    provenance = read_sidecar(features("small")).provenance
    assert set(provenance) == {"backbone", "device", "dtype", "preprocess", "versions", "views", "weights_sha256"}
    assert {"pillow", "torch", "torchvision"} == set(provenance["versions"])


def test_twice_gives_equal_bytes_with_and_without_the_cache(project, monkeypatch):
    extract.run(settings(), "small")
    before = {path.name: path.read_bytes() for path in features("small").iterdir()}
    extract.run(settings(), "small")
    assert {path.name: path.read_bytes() for path in features("small").iterdir()} == before
    monkeypatch.setenv("LOOKALIKE_CACHE", "another")
    extract.run(settings(), "small")
    assert {path.name: path.read_bytes() for path in features("small").iterdir()} == before


def test_added_images_run_alone(project, capsys):
    extract.run(settings(), "small")
    write_images(project, [encode(seed) for seed in (20, *range(11))])
    capsys.readouterr()
    extract.run(settings(), "small")
    assert "12 images, 1 run" in capsys.readouterr().out
    extract.run(settings(), "small")
    assert "12 images, 0 run, all of them known" in capsys.readouterr().out


def test_other_code_runs_again_and_equal_results_stay_equal(project, capsys, monkeypatch):
    extract.run(settings(), "small")
    before = {path.name: path.read_bytes() for path in features("small").iterdir()}
    capsys.readouterr()
    monkeypatch.setattr(extract, "extraction_fingerprint", lambda library: f"edited {library}")
    extract.run(settings(), "small")
    assert "11 images, 11 run" in capsys.readouterr().out
    assert len(list(Path("cache/features").iterdir())) == 2
    assert {path.name: path.read_bytes() for path in features("small").iterdir()} == before


def test_views_are_kept_apart(project):
    params = settings(backbones={"small": SMALL | {"flip": True}, "large": SMALL | {"pixels": 48}})
    extract.run(params, "small")
    images_hash = read_rows(project).images_hash
    assert load_features(features("small"), images_hash=images_hash, views=True).shape == (11, 2, 512)
    assert load_features(features("small"), images_hash=images_hash).shape == (11, 512)


def test_unknown_names(project):
    with pytest.raises(ParamError, match="no backbone 'smal' in backbones; did you mean 'small'"):
        extract.run(settings(), "smal")
    with pytest.raises(ParamError, match="no concatenation 'bot' in concatenations; did you mean 'both'"):
        concat.run(settings(), "bot")


def test_concatenations_are_checked_with_the_params():
    with pytest.raises(ParamError, match=r"concatenations.both.features: no feature set 'larg'; did you mean 'large'"):
        settings(concatenations={"both": {"features": ["small", "larg"]}})
    with pytest.raises(
        ParamError, match=r"concatenations: 'small' is a backbone; give the concatenation a name of its own"
    ):
        settings(concatenations={"small": {"features": ["small", "large"]}})


def test_fuse_and_verify(project, capsys):
    params = settings()
    for name in params.features.backbones:
        extract.run(params, name)
    concat.run(params, "both")
    assert "concat both: small + large -> artifacts/emoji/features/both [11, 1024]" in capsys.readouterr().out
    verify.run(params)
    said = capsys.readouterr().out.splitlines()
    assert said == [f"verify {n}: sidecar, and 11 rows made again, agree" for n in ("small", "large", "both")]


@pytest.mark.parametrize("dtype", LEAST_COSINE)
def test_verify_makes_rows_again_in_the_dtype_of_the_sidecar(dtype, project, capsys, monkeypatch):
    """Features in a dtype that someone chose, and then ones that a GPU made: float32 is near enough to both."""
    alone = {"concatenations": {}, "head": {"features": "small"}}
    chosen = settings(features=FEATURES | {"dtype": dtype}, **alone)
    extract.run(chosen, "small")
    verify.run(chosen)
    verify.run(settings(**alone))
    sidecar = read_sidecar(features("small"))
    stored = load_features(features("small"), images_hash=sidecar.images_hash)
    on_a_gpu = sidecar.provenance | {"device": "cuda"}
    save_features(features("small"), stored, images_hash=sidecar.images_hash, provenance=on_a_gpu)
    verify.run(settings(**alone))
    assert capsys.readouterr().out.count("verify small: sidecar, and 11 rows made again, agree") == 3


def test_verify_finds_features_of_another_dtype(project):
    message = changed(project, lambda *_: settings(features=FEATURES | {"dtype": "float16"}))
    assert "features/small: made with another dtype" in message


@pytest.mark.parametrize("dtype", LEAST_COSINE)
def test_the_tolerance_of_verify_is_that_of_the_dtype(dtype):
    stored = np.array([[[1.0, 0.0]]])
    for cosine, agrees in ((LEAST_COSINE[dtype] + 1e-6, True), (LEAST_COSINE[dtype] - 1e-6, False)):
        again = np.array([[[cosine, np.sqrt(1 - cosine**2)]]])
        with nullcontext() if agrees else pytest.raises(FeatureError, match="made again has cosine"):
            verify.check_rows("small", stored, again, np.array(["a"]), least=LEAST_COSINE[dtype])


def changed(project, change) -> str:
    params = settings(concatenations={}, head={"features": "small"})
    extract.run(params, "small")
    params = change(params, features("small")) or params
    with pytest.raises(FeatureError) as error:
        verify.run(params)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_verify_finds_features_of_other_pixels(project):
    def swap(_, folder):
        sidecar = read_sidecar(folder)
        stored = load_features(folder, images_hash=sidecar.images_hash)
        wrong = np.roll(stored, 1, axis=0)
        save_features(folder, wrong, images_hash=sidecar.images_hash, provenance=sidecar.provenance)

    message = changed(project, swap)
    assert "features/small: image 'picture-" in message and "made again has cosine" in message


def test_verify_finds_features_of_other_settings(project):
    message = changed(project, lambda *_: settings(backbones={"small": SMALL | {"pixels": 40}, "large": SMALL}))
    assert message == "features/small: made with another backbone than params.yaml gives now; run dvc repro"


def test_verify_finds_other_images(project):
    message = changed(project, lambda *_: write_images(project, [encode(99)]) and None)
    assert "made from other images, or in another order" in message


def test_verify_with_nothing_there(project):
    with pytest.raises(FeatureError, match="no feature set in artifacts/emoji/features; run dvc repro"):
        verify.run(settings())


def in_process(code: str, **more) -> subprocess.CompletedProcess:
    """`code` after these imports, in a process of its own; errors leave it as the command line lets them out.

    It writes no bytecode: under a limit of file sizes Python would leave cut .pyc files, which stop the next process.
    """
    top = str(Path(__file__).parents[3])
    folders = [top, str(Path(__file__).parent), f"{top}/tests/helpers"]
    head = f"import sys; sys.path[:0] = {folders!r}; import test_extract as t\n"
    tail = f"import pipeline.cli.app as cli\ndef stage():\n    {code}\ncli.app = stage\ncli.main()\n"
    return subprocess.run(
        [sys.executable, "-B", "-c", head + tail], capture_output=True, text=True, check=False, **more
    )


def test_a_full_disk_is_one_line_and_leaves_no_half_file(project):
    """A limit on the size of files stands for a full disk: the same system call fails."""
    done = in_process(
        "t.extract.run(t.settings(), 'small')",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()
    assert said[-1].startswith("error: ") and os.strerror(errno.EFBIG) in said[-1] and ".safetensors" in said[-1]
    assert "Traceback" not in done.stderr
    left = [
        path for folder in ("cache", "artifacts/emoji/features") for path in Path(folder).rglob("*") if path.is_file()
    ]
    assert left == []


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_small_file_system(project, tmp_path):
    """The same on a real one, where this user may mount it."""
    mount = tmp_path / "cache"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", mount], check=False).returncode:
        pytest.skip("no right to mount")
    try:
        done = in_process("t.extract.run(t.settings(), 'small')")
        assert done.returncode == 1 and os.strerror(errno.ENOSPC) in done.stderr.splitlines()[-1]
        assert [path for path in mount.rglob("*") if path.is_file()] == []
    finally:
        subprocess.run(["umount", mount], check=True)


def test_an_output_that_cannot_be_written(project):
    """A file where the folder should be: root may write into read-only folders, but not here."""
    Path("artifacts/emoji/features").write_text("in the way")
    done = in_process("t.extract.run(t.settings(), 'small')")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: ") and "artifacts/emoji/features" in done.stderr
    assert "Traceback" not in done.stderr
