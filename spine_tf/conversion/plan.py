"""The plan of a conversion: which row goes to which shard. From the CSVs alone, no pixels."""

import dataclasses
import hashlib
import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spine_tf import labels
from spine_tf.configuration import record_kind as record_kind_module, roi_config
from spine_tf.conversion import kind as kind_module, kinds
from spine_tf.crops import record
from spine_tf.dicom import reasons
from spine_tf.rsna import annotations, folds, given_points, layout, sources, tables
from tfrecords import regular_file, shard


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The configuration that must match where a directory is continued.

    Attributes:
        conditions, levels: rows of these are converted; named as in `labels`. All conditions are
            those that the kind of record knows.
        roi: what is cut out; what the kind says where that decides it.
        num_folds: number of folds.
        test_fraction: part of the studies that is the test split.
        seed: decides which study lies in which fold; any integer.
        folds_csv: a file with the columns study_id and fold that decides instead.
        exclude: a file with the column key: rows to leave out.
        points: a file of points instead of the data set's own coordinates.
        kind: of the records, one of `configuration.record_kind.NAMES`.
    """

    conditions: tuple[str, ...]
    levels: tuple[str, ...]
    roi: roi_config.RoiConfig = dataclasses.field(default_factory=roi_config.RoiConfig)
    num_folds: int = 5
    test_fraction: float = 0.15
    seed: int = 0
    folds_csv: pathlib.Path | None = None
    exclude: pathlib.Path | None = None
    points: pathlib.Path | None = None
    kind: str = record_kind_module.ROI

    def __post_init__(self) -> None:
        made = kinds.make(self.kind, self.roi)
        object.__setattr__(self, "roi", made.region)
        annotations.check_names("conditions", self.conditions, labels.CONDITIONS)
        if set(self.conditions) == set(labels.CONDITIONS):
            object.__setattr__(self, "conditions", made.conditions)
        for name in self.conditions:
            if name not in made.conditions:
                raise ValueError(
                    f"--conditions has {name!r}, which --kind {self.kind} knows nothing of; "
                    f"expected all or some of {', '.join(made.conditions)}"
                )
        if self.conditions and not set(self.conditions) & set(made.needed):
            raise ValueError(
                f"--conditions is {','.join(self.conditions)}, of which alone --kind {self.kind} "
                f"makes no record; expected one of {', '.join(made.needed)} among them"
            )
        annotations.check_names("levels", self.levels, labels.LEVELS)
        # In the order of the labels, so that the order on the command line changes nothing.
        in_order = tuple(name for name in labels.CONDITIONS if name in self.conditions)
        object.__setattr__(self, "conditions", in_order)
        in_order = tuple(name for name in labels.LEVELS if name in self.levels)
        object.__setattr__(self, "levels", in_order)
        if not 2 <= self.num_folds <= 99:
            raise ValueError(f"--num_folds is {self.num_folds}, expected 2 to 99")
        if not 0 <= self.test_fraction < 1:
            raise ValueError(
                f"--test_fraction is {self.test_fraction}, expected at least 0 and less than 1"
            )

    @property
    def record_kind(self) -> kind_module.Kind:
        """The kind of the records, with its region of interest."""
        return kinds.make(self.kind, self.roi)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One file to be.

    Attributes:
        file: its name.
        split: fold_0 ... or test.
        rows: each a `kind.Row`, what its records are made of.
    """

    file: str
    split: str
    rows: tuple[Any, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole conversion, before any image is opened.

    Attributes:
        config: what decides the records, as JSON types.
        source: sha256 of each CSV by name.
        shards: by split, test last, then by index.
        rejects: rows that the CSVs already rule out.
        counts: what else was seen in the CSVs.
        notes: what a user should be told of the CSVs, a sentence each.
    """

    config: dict[str, Any]
    source: dict[str, str]
    shards: tuple[Shard, ...]
    rejects: tuple[reasons.Reject, ...]
    counts: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def num_rows(self) -> int:
        """Rows that are to become records."""
        return sum(len(part.rows) for part in self.shards)

    def to_json(self) -> dict[str, Any]:
        """Returns the plan as JSON types; equal conversions have equal ones."""
        return {
            "config": self.config,
            "source": self.source,
            "shards": [
                {"file": part.file, "split": part.split, "keys": [row.key for row in part.rows]}
                for part in self.shards
            ],
        }


def make_plan(source: sources.Source, settings: Settings) -> Plan:
    """Reads the CSVs and plans the conversion.

    Raises:
        ValueError: a CSV is missing or not as expected, or it has no row that is asked for.
    """
    folds_csv, exclude = _read(settings.folds_csv), _read(settings.exclude)
    points = None if settings.points is None else given_points.read(settings.points, source)
    rows = annotations.read_annotations(
        source,
        conditions=settings.conditions,
        levels=settings.levels,
        excluded_keys=_keys(settings.exclude, exclude),
        points=points,
        requires_labels=settings.record_kind.needs_labels,
    )
    if not settings.record_kind.rows(rows) and not rows.rejects:
        needed = [name for name in settings.conditions if name in settings.record_kind.needed]
        raise ValueError(
            f"{settings.points or layout.coordinates_csv(source.side)} has no row for --conditions "
            f"{','.join(needed)} and --levels {','.join(settings.levels)}; "
            f"it has {_targets_in_words(source, points)}"
        )
    return deal(
        rows,
        _splits(settings, rows.groups, folds_csv),
        record_kind=settings.record_kind,
        config=_to_json(settings, folds_csv, exclude),
        source=_fingerprints(source, settings.points, points),
    )


def _fingerprints(
    source: sources.Source, path: pathlib.Path | None, points: tables.Table | None
) -> dict[str, str]:
    """sha256 of each CSV; given points stand for the coordinates, and a copy of these is these."""
    found = {}
    for name in layout.TRAIN_CSVS:
        if path is not None and points is not None and name == layout.coordinates_csv("train"):
            found[name] = given_points.fingerprint(path, points)
        else:
            found[name] = hashlib.sha256(source.read(name)).hexdigest()
    return found


def _targets_in_words(source: sources.Source, points: tables.Table | None) -> str:
    """Says which conditions the coordinates have, each with its levels."""
    there = annotations.read_annotations(source, has_labels=False, points=points).rows
    found = {(row.condition, row.level) for row in there}
    said = []
    for condition, name in enumerate(labels.CONDITIONS):
        levels = [labels.LEVELS[level] for of, level in sorted(found) if of == condition]
        if levels:
            said.append(f"{name} at {', '.join(levels)}")
    return "; ".join(said) or "none of any condition: --points takes those that localize writes"


def _splits(settings: Settings, groups: dict[int, str], folds_csv: bytes | None) -> dict[int, str]:
    if folds_csv is not None:
        table = tables.parse_table(str(settings.folds_csv), folds_csv)
        return folds.parse_folds(table, groups, settings.num_folds)
    return folds.assign_folds(
        groups,
        num_folds=settings.num_folds,
        test_fraction=settings.test_fraction,
        seed=settings.seed,
    )


def _to_json(settings: Settings, folds_csv: bytes | None, exclude: bytes | None) -> dict[str, Any]:
    """The settings as in plan.json and manifest.json: files by their content, not their path."""
    return {
        # Records of before there were kinds are regions of interest, and say nothing of it.
        **({} if settings.kind == record_kind_module.ROI else {"kind": settings.kind}),
        "conditions": list(settings.conditions),
        "levels": list(settings.levels),
        **roi_config.to_dict(settings.roi),
        "num_folds": settings.num_folds,
        "test_fraction": settings.test_fraction,
        "seed": settings.seed,
        "folds_csv": None if folds_csv is None else hashlib.sha256(folds_csv).hexdigest(),
        "exclude": None if exclude is None else hashlib.sha256(exclude).hexdigest(),
    }


def _read(path: pathlib.Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return regular_file.read_bytes(path)
    except FileNotFoundError as err:
        raise ValueError(f"{path} does not exist; expected a CSV file") from err


def _keys(path: pathlib.Path | None, data: bytes | None) -> frozenset[str]:
    if data is None:
        return frozenset()
    table = tables.parse_table(str(path), data)
    column = table.index("key")
    # Notices of an audit have no key.
    return frozenset(row[column] for row in table.rows if len(row) > column) - {""}


def deal(
    rows: annotations.Annotations,
    splits: Mapping[int, str],
    *,
    record_kind: kind_module.Kind,
    config: dict[str, Any],
    source: dict[str, str],
) -> Plan:
    """Deals checked rows to shards.

    Args:
        rows: what the CSVs say.
        splits: study -> split, of every study of the rows.
        record_kind: says what is dealt.
        config, source: see Plan.
    """
    of_split: dict[str, list[kind_module.Row]] = {}
    for row in record_kind.rows(rows):
        of_split.setdefault(splits[row.study_id], []).append(row)
    names = sorted(of_split, key=lambda name: (name == folds.TEST, len(name), name))
    return Plan(
        config=config,
        source=source,
        shards=tuple(part for name in names for part in _cut(name, of_split[name], record_kind)),
        rejects=tuple(sorted(rows.rejects)),
        counts=rows.counts,
        notes=tuple(_notes(rows)),
    )


def _notes(rows: annotations.Annotations) -> Iterator[str]:
    if rows.unmatched:
        yield (
            f"--exclude has {len(rows.unmatched)} keys that no row of the coordinates CSV has, "
            f"such as {rows.unmatched[0]}"
        )
    if num_repeated := rows.counts.get("repeated_points"):
        yield f"{num_repeated} rows are further points of a condition and level of one study"
    yield from (fault.in_words() for fault in rows.faults)


def _cut(split: str, rows: Sequence[kind_module.Row], record_kind: kind_module.Kind) -> list[Shard]:
    """Cuts the rows of a split into shards of about equal size.

    Sorted by a hash of the study, a shard is a fair sample of studies, and the rows of one image
    lie together; a cut moves to the end of an image, so that no image is decoded for two shards.
    """
    hashes = {row.study_id: order_of(str(row.study_id)) for row in rows}
    images = [
        list(group)
        for _, group in itertools.groupby(
            sorted(rows, key=lambda row: (hashes[row.study_id], row.image)),
            key=lambda row: row.image,
        )
    ]
    num_shards = -(-len(rows) // record_kind.rows_per_shard)
    parts: list[list[kind_module.Row]] = [[] for _ in range(num_shards)]
    position = 0
    for image in images:
        parts[position * num_shards // len(rows)].extend(image)
        position += len(image)
    return [
        Shard(
            file=shard.file_name(record.DATASET_NAME, split, index, num_shards),
            split=split,
            rows=tuple(sorted(part, key=lambda row: order_of(row.key))),
        )
        for index, part in enumerate(parts)
    ]


def order_of(key: str) -> bytes:
    """Returns what rows and records of a shard are sorted by: a hash of their key."""
    return hashlib.sha256(key.encode()).digest()
