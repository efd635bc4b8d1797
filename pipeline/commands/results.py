"""`python -m pipeline results`: docs/results.md anew, from the csv files that `study` writes."""

from pipeline.studies.summary import OUT, write_results_page


def run() -> None:
    write_results_page()
    print(f"wrote {OUT}")
