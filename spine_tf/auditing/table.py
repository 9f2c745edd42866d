"""The findings as a CSV, which `convert --exclude` takes, and as a few lines of text."""

import collections
import csv
import io
from collections.abc import Iterable

from spine_tf.auditing import audit, finding

_COLUMNS = ("key", "finding", "severity", "detail", "file", "place")


def to_csv(findings: Iterable[finding.Finding]) -> str:
    """Returns one line a finding; the key is empty where no row is to be left out."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for item in findings:
        severity = item.kind.severity
        writer.writerow((item.key, item.kind, severity, item.detail, item.file, item.place))
    return buffer.getvalue()


def summarize(audited: audit.Audit) -> str:
    """Returns the number of findings and of studies of each kind that was found."""
    if not audited.findings:
        return f"nothing is wrong with {audited.num_rows} rows of {audited.num_studies} studies"
    lines = [f"{'severity':10}{'finding':28}{'found':>8}{'studies':>9}"]
    for kind, found in by_kind(audited.findings).items():
        counts = f"{len(found):>8}{num_studies(found):>9}"
        lines.append(f"{kind.severity:10}{kind:28}{counts}")
    rows = f"{len(audited.keys)} of {audited.num_rows} rows"
    return "\n".join([*lines, f"{rows} have an error; convert --exclude leaves them out"])


def by_kind(findings: Iterable[finding.Finding]) -> dict[finding.Kind, list[finding.Finding]]:
    """Returns the findings of each kind that was found, in the order of the kinds."""
    groups = collections.defaultdict(list)
    for item in findings:
        groups[item.kind].append(item)
    return {kind: groups[kind] for kind in finding.Kind if kind in groups}


def num_studies(findings: Iterable[finding.Finding]) -> int:
    """Returns in how many studies the findings are."""
    return len({item.place.partition("/")[0] for item in findings})
