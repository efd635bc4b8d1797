"""What the three tabs answer, without a browser."""

import re
from pathlib import Path

import pytest
from usable import make_usable

pytestmark = pytest.mark.forward

gr = pytest.importorskip("gradio")

from pipeline import load_head  # noqa: E402
from pipeline.demo.app import build  # noqa: E402
from pipeline.demo.available_heads import AvailableHeads  # noqa: E402
from pipeline.demo.compare_tab import compare_html, example_pair  # noqa: E402
from pipeline.demo.draw_tab import advice_html, compare_drawings_html  # noqa: E402
from pipeline.demo.search_tab import found_html, offered_html  # noqa: E402
from pipeline.demo.uploads import errors_as_message  # noqa: E402

LINE = [[[0.2, 0.2], [0.8, 0.8]]]


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("page")
        patch.chdir(folder)
        patch.setenv("LOOKALIKE_CACHE", str(folder / "cache"))
        images, _ = make_usable()
        for row, content in enumerate(images):
            Path(f"{row}.png").write_bytes(content)
        Path("cut.png").write_bytes(images[0][:100])
        yield AvailableHeads(Path("artifacts"))


def rows(html: str) -> list[int]:
    return [int(row) for row in re.findall(r'data-row="(\d+)"', html)]


def test_an_upload_finds_itself_first(heads):
    html = found_html(heads, "emoji", {"path": "4.png"}, None)
    assert rows(html)[0] == 4 and len(rows(html)) == 11 and ">1.000 <" in html


def test_a_picture_of_the_data_set_finds_the_others_in_the_heads_order(heads):
    similarity = load_head("artifacts/emoji/head").similarity(Path("4.png"), [Path(f"{i}.png") for i in range(11)])
    wanted = [row for row in (-similarity).argsort(kind="stable").tolist() if row != 4]
    assert rows(found_html(heads, "emoji", None, 4)) == wanted


def test_pictures_are_offered_by_name(heads):
    assert set(rows(offered_html(heads, "emoji", ""))) == set(range(11))
    assert set(rows(offered_html(heads, "emoji", "PICTURE-1"))) == {1, 10}
    assert "No picture of emoji has “&lt;b&gt;” in its name." in offered_html(heads, "emoji", "<b>")


def test_two_pictures_are_judged_as_compare_does(heads):
    comparison = load_head("artifacts/emoji/head").compare(Path("3.png"), Path("5.png"))
    html = compare_html(heads, "emoji", {"path": "3.png"}, {"path": "5.png"})
    assert (
        f'data-similarity="{comparison.similarity:.4f}"' in html
        and f'data-alike="{str(bool(comparison.alike)).lower()}"' in html
    )


def test_what_is_missing_is_said(heads):
    assert "Give two pictures." in compare_html(heads, "emoji", None, None)
    assert "Give one more picture." in compare_html(heads, "emoji", None, {"path": "1.png"})
    assert "Give a picture, or tap one" in found_html(heads, "emoji", None, None)
    assert "Draw something on both." in compare_drawings_html(heads, "emoji", [[], []])
    assert "Now draw on the other one." in compare_drawings_html(heads, "emoji", [LINE, []])


@pytest.mark.parametrize("same", [True, False])
def test_a_pair_to_try(heads, same):
    left, right, html = example_pair(heads, "emoji", same)
    assert left.size == right.size == (40, 30) and left.mode == "RGB" and "la-meter" in html


def test_bad_pictures_and_heads_are_errors_as_message(heads):
    said = errors_as_message(compare_html)(heads, "emoji", {"path": "1.png"}, {"path": "cut.png"})
    assert re.search(r">The right picture cannot be used \(truncated[^<]*\)\. Give another one\.</p>$", said)
    assert said.count("<p") == 1
    gone = errors_as_message(found_html)(heads, "mnist", None, 0)
    assert (
        gone
        == '<p class="la-note" role="status">no head for &#x27;mnist&#x27; is there any more; choose another one</p>'
    )
    assert "this is no drawing" in errors_as_message(compare_drawings_html)(heads, "emoji", ["x", None])


def test_bugs_are_not_hidden(heads):
    with pytest.raises(ZeroDivisionError):
        errors_as_message(lambda: 1 / 0)()


def test_equal_drawings_are_alike_and_what_the_network_sees_is_shown(heads):
    html = compare_drawings_html(heads, "emoji", [LINE, LINE])
    assert 'data-similarity="1.0000"' in html and html.count("data:image/png") == 2


def test_the_draw_tab_says_which_head_it_needs(heads, monkeypatch):
    alone = advice_html(heads, "emoji")
    assert "The head <b>emoji</b> was not trained on drawings" in alone
    assert "<code>dvc exp run -S data.name=mnist</code> (digits)" in alone
    monkeypatch.setattr(heads, "names", lambda: ["emoji", "omniglot"])
    assert "Choose the head <b>omniglot</b> above." in advice_html(heads, "emoji")
    assert (
        advice_html(heads, "omniglot")
        == '<p class="la-about">Trained on letters of many alphabets: draw two, in any size.</p>'
    )


def test_the_page_needs_a_head(tmp_path):
    with pytest.raises(ValueError, match=r"no trained head here: run `dvc repro`$"):
        build(AvailableHeads(tmp_path))
