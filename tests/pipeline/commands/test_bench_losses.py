"""`bench losses`: what each loss is trained with, and the page that is written from the rows."""

from pathlib import Path

import pytest

from heads.errors import HeadError
from heads.settings import LOSSES
from pipeline.commands.bench_losses import losses_page, settings_of
from pipeline.params import load_params

PARAMS = load_params(Path(__file__).parents[3] / "params.yaml")


def row(loss: str, val: float | str, *, epochs: str = "1, 2", warnings: str = "") -> dict[str, object]:
    numbers = {"val": val, "std": "" if val == "" else 0.01, "baseline": 0.9, "epochs": epochs}
    names = {"loss": loss, "from": "ours", "model": "linear", "warnings": warnings}
    return names | numbers | {"machine": "a machine", "torch": "2.0", "library": "2.8"}


def test_the_best_first_and_what_did_not_run_last_with_its_reason():
    rows = [row("a", "", epochs="", warnings="needs | images"), row("b", 0.8), row("c", 0.95)]
    page = losses_page(rows, PARAMS)
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert [line.split()[1] for line in lines] == ["loss", "c", "b", "a"]
    assert "95.0 ± 1.0 | 90.0 | 1, 2" in lines[1]
    assert "not run" in lines[3] and "needs \\| images" in lines[3]
    assert "a machine, torch 2.0" in page


@pytest.mark.parametrize("loss", LOSSES)
def test_only_the_loss_differs_and_pairs_have_their_model(loss):
    settings = settings_of(PARAMS.head, loss)
    changed = {key for key, value in settings.model_dump().items() if value != getattr(PARAMS.head, key)}
    assert changed <= ({"loss", "model"} if loss == "bce" else {"loss"})


def test_a_setting_of_another_loss_is_refused_not_dropped():
    head = PARAMS.head.model_copy(update={"margin_on": "squared"})
    with pytest.raises(HeadError, match="margin_on"):
        settings_of(head, "supcon")
