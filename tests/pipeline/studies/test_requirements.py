"""What is looked for, and what a person is told when it is not there. Nothing is downloaded."""

import hashlib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from data.files.cache import cache_root
from features.errors import FeatureError
from features.settings import Backbone
from pipeline.studies import requirements
from pipeline.studies.plan import PlannedRow, plan_row
from pipeline.studies.requirements import Requirement, fetch, of_data, of_gpu, of_weights, unmet
from pipeline.studies.settings import Row, Section, Study

RAW = YAML(typ="safe").load((Path(__file__).parents[3] / "params.yaml").read_text())


@pytest.fixture(autouse=True)
def nothing_here(tmp_path, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def planned(gpu: str | None = None, where=None, **settings) -> PlannedRow:
    row = Row(
        name="a",
        set={key.replace("__", "."): value for key, value in settings.items()},
        gpu=gpu,
        compare=[{"metric": "test/top2"}],
    )
    study = Study(title="t", sections=[Section(title="s", rows=[row])])
    return plan_row("made", study, row, RAW, places=where or {})


def data_need(name: str, **where: str | None) -> Requirement:
    return of_data(planned(where=where, data__name=name, head__features="efficientnet_lite0").experiments[0].params)


def test_the_default_data_and_random_networks_need_nothing():
    assert unmet(planned(head__features="resnet18_random"), gpu=lambda: False) == []


def test_data(tmp_path):
    wanted = "data: train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, "
    assert data_need("mnist") == Requirement("to fetch", f"{wanted}t10k-labels-idx1-ubyte.gz (11.6 MB)")
    folder = cache_root() / "omniglot"
    folder.mkdir(parents=True)
    for name in ("images_background.zip", "images_evaluation.zip"):
        (folder / name).touch()
    assert data_need("omniglot").state == "here"


def test_data_that_only_the_user_can_place(tmp_path):
    remedy = "give its place: --mirror FOLDER, or --path YOUR_COPY"
    assert data_need("tll") == Requirement("missing", f"data: tll has no stable address to fetch it from; {remedy}")
    assert data_need("tll", path=str(tmp_path)).state == "here"
    assert data_need("tll", path="/some/nowhere") == Requirement("missing", f"data: no nowhere there; {remedy}")
    assert data_need("tll", mirror="/nowhere").what == "data: COMP90086_2023_TLLdataset.zip"


@pytest.mark.parametrize(
    ("library", "model", "weights"),
    [("open_clip", "RN50x4", "openai"), ("torchvision", "resnet18", "IMAGENET1K_V1"), ("timm", "resnet18", "a1_in1k")],
)
def test_weights_that_are_to_be_fetched(library, model, weights):
    found = of_weights("backbones.mine", Backbone(library=library, model=model, weights=weights))
    assert found.state == "to fetch"
    assert f"{weights} of {model} (backbones.mine)" in found.what


def test_weights_that_are_here(tmp_path):
    file = tmp_path / "resnet18.pth"
    file.touch()
    assert of_weights("backbones.a", Backbone(library="open_clip", model="RN50x4", weights=str(file))).state == "here"
    trained = planned(
        head__features="mine",
        finetunes={"mine": {"network": {"library": "timm", "model": "resnet18", "weights": "/none.pt"}}},
    )
    (missing,) = unmet(trained, gpu=lambda: True)
    assert missing.what.endswith("no file '/none.pt' for finetunes.mine.network; give a path")
    nothing = of_weights("backbones.a", Backbone(library="timm", model="resnet18", weights="/none.pt"))
    assert nothing == Requirement("missing", "weights: no file '/none.pt' for backbones.a; give a path")
    package = of_weights("backbones.a", Backbone(library="timm", model="resnet18", weights="package:nope"))
    assert package.what.startswith("weights: backbones.a.weights: no package 'nope' with weights; known: ")


def test_a_gpu():
    assert of_gpu(None, gpu=lambda: False).state == of_gpu("a day", gpu=lambda: True).state == "here"
    missing = of_gpu("about 9 hours on 2 cores", gpu=lambda: False)
    assert missing.what == ("a GPU: without one it takes about 9 hours on 2 cores; run it all the same with --anyway")


def test_what_a_network_refuses_is_said_once(monkeypatch):
    asked = []

    def refused(name: str, entry: Backbone, *, section: str) -> None:
        asked.append(name)
        raise FeatureError(f"{section}.{name}: cannot download it; fetch it elsewhere")

    monkeypatch.setattr("features.backbones.registry.load_backbone", refused)
    row, tried = planned(head__features="clip_rn50x4"), {}
    for _ in range(2):
        lacking = fetch(unmet(row, gpu=lambda: True), tried=tried)
        assert [each.what for each in lacking] == [
            "weights: backbones.clip_rn50x4: cannot download it; fetch it elsewhere"
        ]
    assert asked == ["clip_rn50x4"]


def test_a_mirror_is_used_and_one_that_lacks_the_data_is_named(tmp_path):
    mirror = tmp_path / "mirror/mnist"
    mirror.mkdir(parents=True)
    names = [archive.name for archive in requirements.find_dataset("mnist").archives]
    for name in names:
        (mirror / name).write_bytes(name.encode())
    sums = "".join(f"{hashlib.sha256(name.encode()).hexdigest()}  mnist/{name}\n" for name in names)
    (mirror.parent / "SHA256SUMS").write_text(sums)
    where = {"mirror": str(mirror.parent)}
    row = planned(where=where, data__name="mnist", head__features="resnet18_random")
    assert fetch(unmet(row, gpu=lambda: True), tried={}) == []
    assert unmet(row, gpu=lambda: True) == []  # now it is in the cache
    other = planned(where=where, data__name="cifar100", head__features="resnet18_random")
    (lacking,) = fetch(unmet(other, gpu=lambda: True), tried={}, mirror=str(mirror.parent))
    assert lacking.what == "data: data.mirror: MIRROR/SHA256SUMS does not list cifar100/cifar-100-python.tar.gz"
