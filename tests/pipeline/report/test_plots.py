"""DVC's plots: templates that its own renderer fills, whose columns are in the csv files that evaluate writes."""

import json
from pathlib import Path

import pytest
from dvc_render.vega import VegaRenderer

PLOTS = Path(__file__).parents[3] / "pipeline" / "report" / "plots"
POINTS = [
    {"k": str(k), "dvc_inferred_y_value": str(k / 5), "rev": "workspace", "field": field, "seed": "0"}
    for k in range(1, 6)
    for field in ("head", "baseline", "chance")
]


@pytest.mark.parametrize("path", sorted(PLOTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_anchor_of_a_template_is_filled(path):
    renderer = VegaRenderer(
        POINTS, "plot", template=str(path), x="k", y="dvc_inferred_y_value", revs_with_datapoints=["workspace"]
    )
    assert "<DVC_METRIC" not in json.dumps(renderer.get_filled_template())


def test_the_head_is_solid_and_strong_the_baseline_thin_and_chance_grey():
    plot = json.loads((PLOTS / "beside_baseline.json").read_text())
    width, dash = (plot["encoding"][name]["scale"] for name in ("strokeWidth", "strokeDash"))
    assert width["domain"] == dash["domain"] == ["head", "baseline", "chance"]
    assert width["range"][0] > 2 * width["range"][1] and dash["range"][:2] == [[1, 0], [1, 0]] != dash["range"][2:]
    of_chance, of_others = plot["layer"]
    assert of_chance["mark"]["color"] == "#9ca3af" and "color" not in of_chance.get("encoding", {})
    assert of_others["encoding"]["color"] == "<DVC_METRIC_COLOR>"
