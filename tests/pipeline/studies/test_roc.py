"""The ROC picture of a study: rows that ran here, rows that another machine ran, and the published figure as a line."""

from pipeline.studies.roc import published_accuracies, roc_csv, roc_points, roc_svg
from pipeline.studies.settings import Section, Study

CURVE = "false positive rate,head,baseline,chance\n0,0.1,0,0\n0.5,0.9,0.6,0.5\n1,1,1,1\n"
COMPARE = [{"metric": "test/balanced_accuracy", "published": 0.668}]
ROWS = [{"name": name, "compare": COMPARE} for name in ("recipe", "ours", "aside")]
STUDY = Study(title="t", roc=["recipe", "ours"], sections=[Section(title="s", rows=ROWS)])


def test_curves_of_this_machine_and_of_the_committed_file(tmp_path):
    committed, folder = tmp_path / "made.roc.csv", tmp_path / "ours"
    folder.mkdir()
    (folder / "roc.csv").write_text(CURVE)
    assert roc_points(STUDY, {}, committed) == {}
    points = roc_points(STUDY, {"ours": [folder], "aside": [folder]}, committed)
    assert list(points) == ["ours"] and [point["head"] for point in points["ours"]] == ["0.1", "0.9", "1"]
    committed.write_bytes(roc_csv(points))
    assert roc_points(STUDY, {}, committed) == points
    assert roc_points(STUDY, {"ours": [folder, folder]}, committed) == points  # folds have no curve of their own
    both = roc_points(STUDY, {"recipe": [folder]}, committed)
    assert list(both) == ["recipe", "ours"]
    picture = roc_svg(STUDY, both)
    assert picture == roc_svg(STUDY, both) and b"<svg" in picture and b"<dc:date>" not in picture


def test_a_published_figure_is_one_line():
    assert published_accuracies(STUDY, {"recipe": [], "ours": []}) == [0.668]
    assert published_accuracies(STUDY, {}) == []
