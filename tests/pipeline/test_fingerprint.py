"""The sha256 of source files: equal for equal contents, another after an edit or in another order."""

from pipeline.fingerprint import sources_sha256


def test_an_edit_changes_it_and_a_copy_does_not(tmp_path):
    names = ("one.py", "under/two.py")
    for top in ("here", "there"):
        (tmp_path / top / "under").mkdir(parents=True)
        for name in names:
            (tmp_path / top / name).write_text(name)
    here = sources_sha256(names, top=tmp_path / "here")
    assert here == sources_sha256(names, top=tmp_path / "there") != sources_sha256(names[::-1], top=tmp_path / "here")
    (tmp_path / "there/under/two.py").write_text("edited")
    assert here != sources_sha256(names, top=tmp_path / "there")
