"""The layouts of a person's own images that are read, each with an example of its files."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """`files`: their names, and the first lines of those that are tables."""

    description: str
    name: str  # data.name
    files: dict[str, str]
    options: str = ""

    @property
    def command(self) -> str:
        options = f" {self.options}" if self.options else ""
        return f"dvc exp run -S data.name={self.name} -S data.path=FOLDER{options}"


LAYOUTS = (
    Layout(
        "classes: a folder each, nested as you like; test and val are drawn from them",
        "folder",
        {"cats/1.jpg": "", "cats/2.jpg": "", "dogs/poodle/3.jpg": ""},
    ),
    Layout(
        "classes with splits: any of train, val and test, or other words for them (Training, valid, test_set)",
        "folder",
        {"train/cats/1.jpg": "", "train/dogs/2.jpg": "", "val/cats/3.jpg": "", "val/dogs/4.jpg": ""},
    ),
    Layout(
        "the same with the splits inside the classes",
        "folder",
        {"cats/train/1.jpg": "", "cats/test/2.jpg": "", "dogs/train/3.jpg": "", "dogs/test/4.jpg": ""},
    ),
    Layout(
        "one class in several places, wherever its folder lies",
        "folder",
        {"amazon/mug/1.jpg": "", "amazon/pen/2.jpg": "", "webcam/mug/3.jpg": "", "webcam/pen/4.jpg": ""},
        "-S data.group=leaf",
    ),
    Layout(
        "a table of images and labels (.csv, .tsv, .parquet), perhaps with a column split",
        "table",
        {"images/1.jpg": "", "images/2.jpg": "", "labels.csv": "image,label,split\n1.jpg,cat,train\n2.jpg,dog,test"},
    ),
    Layout(
        "a table per split",
        "table",
        {
            "train/1.jpg": "",
            "train/2.jpg": "",
            "test/3.jpg": "",
            "train.csv": "id,breed\n1,cat\n2,dog",
            "test.csv": "id\n3",
        },
    ),
    Layout(
        "pairs by equal names",
        "pairs",
        {"left/1.jpg": "", "left/2.jpg": "", "right/1.jpg": "", "right/2.jpg": ""},
    ),
    Layout(
        "pairs by a table; a column label with 1 and 0 says which match",
        "pairs",
        {
            "images/a.jpg": "",
            "images/b.jpg": "",
            "images/c.jpg": "",
            "pairs.csv": "left,right,label\nimages/a.jpg,images/b.jpg,1\nimages/a.jpg,images/c.jpg,0",
        },
    ),
    Layout(
        "parquet files with the images inside, as hubs publish them",
        "parquet",
        {"data/train-00000-of-00001.parquet": "image, label", "data/validation-00000-of-00001.parquet": "image, label"},
    ),
)


def tree_lines(files: dict[str, str]) -> Iterator[str]:
    """The files as an indented tree; lines of tables stand behind their names."""
    above: list[str] = []
    for name, text in files.items():
        *folders, file = name.split("/")
        for depth, folder in enumerate(folders):
            if above[depth : depth + 1] != [folder]:
                above = [*above[:depth], folder]
                yield f"{'  ' * depth}{folder}/"
        above = above[: len(folders)]
        first, *rest = text.splitlines() or [""]
        yield f"{'  ' * len(folders)}{file:12}  {first}".rstrip()
        yield from (f"{'  ' * len(folders)}{'':12}  {line}" for line in rest)
