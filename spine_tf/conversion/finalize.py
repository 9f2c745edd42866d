"""Step 3 of a conversion: the notes of all shards become the files of a finished directory."""

import pathlib
from collections.abc import Sequence

import spine_tf
from spine_tf import labels
from spine_tf.conversion import kind, output_directory, plan, rejects, shard_writer
from spine_tf.crops import record
from spine_tf.dicom import reasons
from spine_tf.rsna import folds
from tfrecords import atomic, inspection, manifest, records, tfds_files, words

# Notes on the CSVs that the manifest holds; the counts beside them are of all.
_NUM_NOTES = 20


class TooManyRejects(ValueError):
    """More rows were rejected than --max_reject_fraction allows."""

    exit_status = 3


def finalize(
    wanted: plan.Plan,
    *,
    record_kind: kind.Kind,
    output_dir: pathlib.Path,
    max_reject_fraction: float,
) -> manifest.Manifest:
    """Checks that every shard is done and completes the directory, the manifest last.

    Raises:
        ValueError: a shard is not done, or there is no record at all.
        TooManyRejects: too many rows gave no record; rejects.csv is written, the manifest is not.
    """
    shard_notes = _read_notes(wanted, output_dir)
    rejected = sorted([*wanted.rejects, *(r for note in shard_notes for r in note.rejects)])
    rejects.write(output_dir, rejected)
    counts = count_reasons(rejected)
    num_records = sum(note.shard.num_examples for note in shard_notes)
    _check_rejects(counts, num_records, max_reject_fraction, output_dir)
    dataset = _make_manifest(wanted, shard_notes, counts)
    written = records.Records(directory=output_dir, manifest=dataset, schema=record_kind.schema())
    tfds_files.write_schema(output_dir, written.schema)
    tfds_files.write_info(output_dir, dataset, record_kind.description)
    sheet = inspection.draw_crops(written, {"window": record_kind.region.window})
    atomic.write_bytes(output_dir / output_directory.CONTACT_SHEET_FILE, sheet)
    manifest.write_manifest(output_dir, dataset)
    remove_notes(wanted, dataset, output_dir)
    return dataset


def remove_notes(wanted: plan.Plan, dataset: manifest.Manifest, output_dir: pathlib.Path) -> None:
    """Removes the notes, and the shards of splits that have no record; the manifest is written."""
    kept = {part.file for part in dataset.shards}
    for part in wanted.shards:
        shard_writer.note_path(output_dir, part.file).unlink(missing_ok=True)
        if part.file not in kept:
            (output_dir / part.file).unlink(missing_ok=True)


def count_reasons(rejected: Sequence[reasons.Reject]) -> dict[str, int]:
    """Returns reason code -> rows, of the reasons that occur."""
    counts = {reason.value: 0 for reason in reasons.Reason}
    for reject in rejected:
        counts[reject.reason.value] += 1
    return {reason: count for reason, count in counts.items() if count}


def summarize(dataset: manifest.Manifest) -> str:
    """Returns records per split, and class where they have one; and rejects by reason."""
    names = labels.SEVERITIES if dataset.class_counts else ()
    lines = [f"{'split':10}{'records':>9}" + "".join(f"{name:>13}" for name in names)]
    totals = dict.fromkeys(names, 0)
    for split in dataset.splits:
        counts = dataset.class_counts.get(split, {})
        lines.append(_line(split, dataset.num_examples(split), counts))
        totals = {name: totals[name] + counts[name] for name in names}
    num_records = sum(map(dataset.num_examples, dataset.splits))
    lines.append(_line("all", num_records, totals))
    listed = ", ".join(f"{reason} {count}" for reason, count in dataset.rejects.items())
    lines.append(f"not converted: {listed or 'none'}")
    if empty := _empty_splits(dataset):
        lines.append(f"without a record: {', '.join(empty)}")
    lines += dataset.details.get("notes", [])
    unreadable = dataset.details.get("unreadable_neighbours", [])
    if unreadable:
        files = words.counted(len(unreadable), "file")
        lines.append(f"unreadable, so no neighbours: {files}, see manifest.json")
    if num_cut_short := dataset.details.get("stacks_cut_short", 0):
        lines.append(
            f"a slice repeats before a gap in the stack: {words.counted(num_cut_short, 'record')}"
        )
    return "\n".join(lines)


def _shortened(notes: Sequence[str]) -> Sequence[str]:
    if len(notes) <= _NUM_NOTES:
        return notes
    return [*notes[: _NUM_NOTES - 1], f"and {len(notes) - _NUM_NOTES + 1} more like these"]


def _empty_splits(dataset: manifest.Manifest) -> list[str]:
    """The splits that were asked for and that no record is in."""
    config = dataset.config
    asked = [folds.fold_name(index) for index in range(config.get("num_folds", 0))]
    if config.get("test_fraction") and config.get("folds_csv") is None:
        asked.append(folds.TEST)
    return [split for split in asked if split not in dataset.splits]


def _line(name: str, num_records: int, counts: dict[str, int]) -> str:
    columns = "".join(f"{counts[severity]:>13}" for severity in labels.SEVERITIES if counts)
    return f"{name:10}{num_records:>9}{columns}"


def _read_notes(wanted: plan.Plan, output_dir: pathlib.Path) -> list[shard_writer.Note]:
    found = [shard_writer.read_note(output_dir, part.file) for part in wanted.shards]
    missing = [part.file for part, note in zip(wanted.shards, found, strict=True) if note is None]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(found)} shards are not done, {missing[0]} among them: run "
            "every slot of --shards i/N to its end, or the command without --finalize"
        )
    return [note for note in found if note is not None]


def _check_rejects(
    counts: dict[str, int], num_records: int, max_fraction: float, output_dir: pathlib.Path
) -> None:
    num_rejects = sum(n for reason, n in counts.items() if reason not in reasons.HARMLESS)
    path = output_dir / output_directory.REJECTS_FILE
    if num_rejects > max_fraction * (num_rejects + num_records):
        listed = ", ".join(f"{reason} {count}" for reason, count in counts.items())
        raise TooManyRejects(
            f"{num_rejects} of {num_rejects + num_records} rows were rejected ({listed}), "
            f"--max_reject_fraction allows {max_fraction:g}: see {path}; mend the "
            "images and run the same command again (finished shards stay), or allow more"
        )
    if not num_records:
        raise ValueError(f"no row gave a record: see {path}")


def _make_manifest(
    wanted: plan.Plan, shard_notes: Sequence[shard_writer.Note], counts: dict[str, int]
) -> manifest.Manifest:
    """A split without a record has no shards: TFDS can't read one."""
    kept = {note.shard.split for note in shard_notes if note.shard.num_examples}
    class_counts: dict[str, dict[str, int]] = {}
    for note in shard_notes:
        if note.class_counts and note.shard.split in kept:
            of_split = class_counts.setdefault(
                note.shard.split, dict.fromkeys(labels.SEVERITIES, 0)
            )
            for name, count in note.class_counts.items():
                of_split[name] += count
    return manifest.Manifest(
        name=record.DATASET_NAME,
        config=wanted.config,
        shards=tuple(n.shard for n in shard_notes if n.shard.split in kept),
        class_counts=class_counts,
        rejects=counts,
        details={
            "made_by": f"spine_tf {spine_tf.__version__}",
            "source": wanted.source,
            **wanted.counts,
            **({"notes": list(_shortened(wanted.notes))} if wanted.notes else {}),
            "stacks_cut_short": sum(note.num_cut_short for note in shard_notes),
            "unreadable_neighbours": sorted({f for note in shard_notes for f in note.unreadable}),
        },
    )
