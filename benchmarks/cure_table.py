"""What worked, on several data sets side by side: one Markdown table of ablations and cures.

    python benchmarks/cure_table.py phantom=P/ablation.csv,P/cures.csv spider=S/ablation.csv

Each argument is a data set's name and the tables of spine_tf.ablate and benchmarks/cures.py. The
base of each file is a line with its figures; a variant's line has its changes to the base of its
own file, paired, with 95 % intervals, and the seconds of its trainings. An asterisk marks an
interval that leaves 0 out.
"""

import csv
import pathlib
import sys

from spine_tf.ablation import ablation_table, scores, variant
from spine_tf.scoring import figure as figure_module

Lines = dict[str, dict[str, str]]


def main() -> None:
    """Prints the table."""
    data_sets = dict(text.split("=", 1) for text in sys.argv[1:])
    found = {name: _read(files.split(",")) for name, files in data_sets.items()}
    heads = [f"{name}: {head}" for name in found for head in (*_HEADS, "seconds")]
    print(f"| | {' | '.join(heads)} |")
    print("|---" * (len(heads) + 1) + "|")
    for name in dict.fromkeys(name for lines in found.values() for name in lines):
        cells = [cell for lines in found.values() for cell in _cells(lines.get(name))]
        print(f"| {name} | {' | '.join(cells)} |")


_HEADS = tuple(figure.replace("_", " ") for figure in scores.FIGURES)


def _read(paths: list[str]) -> Lines:
    """The finished lines by variant."""
    lines: Lines = {}
    for path in map(pathlib.Path, paths):
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["status"] == ablation_table.FINISHED]
        for row in rows:
            name = row["variant"]
            lines[f"{name} of {path.stem}" if name == variant.BASE else name] = row
    return lines


def _cells(row: dict[str, str] | None) -> list[str]:
    if row is None:
        return [""] * (len(scores.FIGURES) + 1)
    if row["variant"] == variant.BASE:
        cells = [_figure(row, name).in_words() for name in scores.FIGURES]
    else:
        changes = [_figure(row, f"{name}_difference") for name in scores.FIGURES]
        cells = [ablation_table.mark_clear(change) for change in changes]
    return [*cells, f"{float(row['seconds']):.0f}"]


def _figure(row: dict[str, str], name: str) -> figure_module.Figure:
    value, low, high = (row[column] for column in (name, f"{name}_low", f"{name}_high"))
    return figure_module.Figure(
        value=float(value) if value else None,
        low=float(low) if low else None,
        high=float(high) if high else None,
    )


if __name__ == "__main__":
    main()
