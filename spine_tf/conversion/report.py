"""A finished conversion as a table of text."""

from spine_tf import labels
from tfrecords import manifest


def summarize(dataset: manifest.Manifest) -> str:
    """Returns records per split and class, and rejects by reason."""
    lines = [f"{'split':10}{'records':>9}" + "".join(f"{n:>13}" for n in labels.SEVERITIES)]
    totals = dict.fromkeys(labels.SEVERITIES, 0)
    for split in dataset.splits:
        counts = dataset.class_counts[split]
        lines.append(_line(split, counts))
        totals = {name: totals[name] + counts[name] for name in labels.SEVERITIES}
    lines.append(_line("all", totals))
    rejects = ", ".join(f"{reason} {count}" for reason, count in dataset.rejects.items())
    lines.append(f"not converted: {rejects or 'none'}")
    unreadable = dataset.details.get("unreadable_neighbours", [])
    if unreadable:
        lines.append(f"unreadable, so no neighbours: {len(unreadable)} files, see manifest.json")
    return "\n".join(lines)


def _line(name: str, counts: dict[str, int]) -> str:
    columns = "".join(f"{counts[severity]:>13}" for severity in labels.SEVERITIES)
    return f"{name:10}{sum(counts.values()):>9}{columns}"
