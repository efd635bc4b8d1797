import pytest

from pipeline.display_names import display_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("twemoji/1f3e7", "automated teller machine"),
        ("openmoji/1f1f5-1f1f1", "flag PL"),
        ("1f1f2", "letter M"),
        ("1f9d1-200d-1f9bc", "adult, motorized wheelchair"),
        ("1f44b-1f3fd", "waving hand, skin tone 4"),
        ("31-20e3", "keycap digit one"),
        ("1f3f4-e0067-e0062-e0073-e0063-e0074-e007f", "waving black flag, gbsct"),
        ("2764-fe0f", "heavy black heart"),
        ("10ffff", "10ffff"),  # no character
        ("110000", "110000"),  # beyond Unicode
        ("twemoji/readme", "readme"),
        ("c3", "c3"),  # a letter
    ],
)
def test_emoji_have_unicodes_names(name, shown):
    assert display_name(name, "emoji") == shown


def test_other_images_have_the_names_of_their_files():
    assert display_name("holiday/1f3e7.png", "folder") == "1f3e7.png"
    assert display_name("cat", "cifar10") == "cat"
    assert display_name("/", "folder") == "/"
