"""`python -m pipeline diff REV [REV]`: two runs on the same queries; what changed, and is it more than luck?

python -m pipeline diff HEAD            # the last commit against the workspace
python -m pipeline diff main puffy-fire # a branch against a DVC experiment
"""

from pipeline.runs.query_scores import Comparison, K, compare, parse_queries, read_queries

LISTED = 10  # queries listed as gained, and as lost


def run(dataset: str, revisions: tuple[str, str]) -> None:
    """Print the comparison of two revisions; `workspace` is what lies in the folder now."""
    before, after = (parse_queries(read_queries(dataset, revision), name=revision) for revision in revisions)
    print(comparison_text(dataset, compare(before, after)))


def comparison_text(dataset: str, found: Comparison) -> str:
    before, after = found.before, found.after
    lines = [f"{dataset}: {before.name} -> {after.name}; {len(before.ids):,} queries, protocol {before.protocol[:16]}"]
    lines += [f"  {'in per cent':20}{'before':>9}{'after':>9}{'change':>9}   95 % interval"]
    for name, change in found.change.items():
        values = (before.scores[name].mean(), after.scores[name].mean(), change.mean)
        shown = f"{100 * values[0]:>9.1f}{100 * values[1]:>9.1f}{100 * values[2]:>+9.1f}"
        clear = " *" if change.low > 0 or change.high < 0 else ""
        lines.append(f"  {name:20}{shown}   {100 * change.low:+.1f} to {100 * change.high:+.1f}{clear}")
    lines += ["  * the interval, over queries and seeds, is clear of zero"]
    hits = found.hits
    lines += [f"  hits at {K}: {len(hits.gained)} gained, {len(hits.lost)} lost (McNemar p = {hits.p_value:.2g})"]
    for kind, places in (("gained", hits.gained), ("lost", hits.lost)):
        if len(places):
            more = f" and {len(places) - LISTED} more" if len(places) > LISTED else ""
            lines.append(f"  {kind}: {', '.join(before.ids[places[:LISTED]])}{more}")
    return "\n".join(lines)
