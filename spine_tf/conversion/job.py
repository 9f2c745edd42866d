"""A conversion from its first check to its manifest, on this machine or as a part of an array."""

import contextlib
import dataclasses
import errno
import functools
import pathlib
import time
from collections.abc import Iterator, Sequence

from absl import logging

from spine_tf.conversion import beam_engine, finalize, kind, output_directory, plan, shard_writer
from spine_tf.processes import lock, pool
from spine_tf.rsna import sources
from tfrecords import atomic, manifest, progress, words

# Notes on the CSVs that are logged; the manifest has more of them.
_NUM_LOGGED = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slot:
    """A part of an array job: the shards whose index is `index` modulo `count`."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"slot {self.index} of {self.count}, expected 0 to {self.count - 1}")


def convert(
    source: sources.Source,
    output_dir: pathlib.Path,
    conversion: plan.Settings,
    *,
    num_workers: int,
    beam_args: str | None = None,
    max_reject_fraction: float = 0.05,
    is_overwritten: bool = False,
) -> manifest.Manifest:
    """Converts a data set; continues what was interrupted; returns at once where it is complete.

    Example:
        >>> import pathlib
        >>> from spine_tf.conversion import job, plan
        >>> from spine_tf.rsna import sources
        >>> settings = plan.Settings(
        ...     conditions=("left_subarticular_stenosis", "right_subarticular_stenosis"),
        ...     levels=("l4_l5",),
        ... )
        >>> source = sources.open_source(pathlib.Path("data"))
        >>> converted = job.convert(source, pathlib.Path("records"), settings, num_workers=2)
        >>> converted.splits
        ('fold_0', 'fold_1', 'fold_2', 'fold_3', 'fold_4', 'test')

    Args:
        source: the data set, as `rsna.sources.open_source` opens it.
        output_dir: made if it isn't there.
        conversion: what decides the records; its fields are the flags of spine_tf.convert.
        num_workers: processes of this machine.
        beam_args: Apache Beam's flags; None is this machine's processes instead.
        max_reject_fraction: more rejected rows than this end the run without a manifest.
        is_overwritten: a conversion that is there is removed first.

    Returns:
        The manifest: shards, records of each class and split, rejects by reason.

    Raises:
        ValueError: input, configuration or directory don't allow it.
        finalize.TooManyRejects: a ValueError; rejects.csv is written, the manifest is not.
        OSError: the directory can't be written, or a worker died twice.
    """
    wanted = _plan(source, conversion)
    output_dir.mkdir(parents=True, exist_ok=True)
    with _explained_full_disk(), lock.lock_directory(output_dir) as descriptor:
        if is_overwritten:
            output_directory.remove_ours(output_dir)
        else:
            output_directory.check(output_dir, wanted)
        output_directory.remove_leftovers(output_dir)
        if output_directory.is_complete(output_dir):
            return _already_complete(wanted, output_dir)
        output_directory.write_plan(output_dir, wanted)
        writer = _Writer(
            source=_narrowed(source, wanted, conversion.record_kind),
            record_kind=conversion.record_kind,
            output_dir=output_dir,
            num_workers=num_workers,
            beam_args=beam_args,
        )
        writer.write(wanted.shards, [descriptor])
        return finalize.finalize(
            wanted,
            record_kind=conversion.record_kind,
            output_dir=output_dir,
            max_reject_fraction=max_reject_fraction,
        )


def convert_slot(
    source: sources.Source,
    output_dir: pathlib.Path,
    conversion: plan.Settings,
    slot: Slot,
    *,
    num_workers: int,
    beam_args: str | None = None,
) -> None:
    """Writes the shards of one slot of an array job; `finish` completes the directory."""
    wanted = _plan(source, conversion)
    output_dir.mkdir(parents=True, exist_ok=True)
    with _explained_full_disk(), contextlib.ExitStack() as stack:
        shared = stack.enter_context(lock.lock_directory(output_dir, is_shared=True))
        output_directory.check(output_dir, wanted)
        if output_directory.is_complete(output_dir):
            logging.info("%s is complete already", output_dir)
            return
        output_directory.write_plan(output_dir, wanted)
        path = output_dir / output_directory.PLAN_FILE
        own = stack.enter_context(lock.lock_slot(path, slot.index))
        writer = _Writer(
            source=_narrowed(source, wanted, conversion.record_kind),
            record_kind=conversion.record_kind,
            output_dir=output_dir,
            num_workers=num_workers,
            beam_args=beam_args,
        )
        writer.write(wanted.shards[slot.index :: slot.count], [shared, own])


def finish(
    source: sources.Source,
    output_dir: pathlib.Path,
    conversion: plan.Settings,
    *,
    max_reject_fraction: float = 0.05,
) -> manifest.Manifest:
    """Completes a directory whose shards are all done."""
    wanted = _plan(source, conversion)
    if not output_dir.is_dir():
        raise ValueError(f"--output_dir {output_dir} does not exist; expected the slots' output")
    with _explained_full_disk(), lock.lock_directory(output_dir):
        output_directory.check(output_dir, wanted)
        output_directory.remove_leftovers(output_dir)
        if output_directory.is_complete(output_dir):
            return _already_complete(wanted, output_dir)
        _require_current(source, output_dir, conversion, wanted)
        return finalize.finalize(
            wanted,
            record_kind=conversion.record_kind,
            output_dir=output_dir,
            max_reject_fraction=max_reject_fraction,
        )


def _plan(source: sources.Source, conversion: plan.Settings) -> plan.Plan:
    wanted = plan.make_plan(source, conversion)
    for note in wanted.notes[:_NUM_LOGGED]:
        logging.warning("%s", note)
    if len(wanted.notes) > _NUM_LOGGED:
        logging.warning("%d more of the CSVs' rows are like these", len(wanted.notes) - _NUM_LOGGED)
    return wanted


def _require_current(
    source: sources.Source, output_dir: pathlib.Path, conversion: plan.Settings, wanted: plan.Plan
) -> None:
    """Raises ValueError where a shard would turn out another way now: images have been mended."""
    noted = [p for p in wanted.shards if shard_writer.read_note(output_dir, p.file) is not None]
    stale = [
        part.file
        for part in noted
        if shard_writer.read_done(
            part, source=source, record_kind=conversion.record_kind, output_dir=output_dir
        )
        is None
    ]
    if stale:
        raise ValueError(
            f"images of {len(stale)} of {len(wanted.shards)} shards, {stale[0]} among them, have "
            "come or changed since they were written: run every slot of --shards i/N again"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Writer:
    """Runs step 2: processes of this machine, or Apache Beam.

    Attributes:
        source, record_kind, output_dir: what is written, and where.
        num_workers, beam_args: see `convert`.
    """

    source: sources.Source
    record_kind: kind.Kind
    output_dir: pathlib.Path
    num_workers: int
    beam_args: str | None

    def write(self, parts: Sequence[plan.Shard], inherited: Sequence[int] = ()) -> None:
        """Writes the shards that aren't done.

        Args:
            parts: all shards of this run.
            inherited: descriptors that forked workers have to close.
        """
        start = time.monotonic()
        missing = [part for part in parts if not self._is_settled(part)]
        total, to_do = (sum(len(part.rows) for part in some) for some in (parts, missing))
        try:
            if self.beam_args is None:
                self._write_locally(missing, total, inherited)
            elif missing:
                beam_engine.write_shards(
                    missing, self.source, self.record_kind, self.output_dir, self.beam_args
                )
        finally:  # where one worker fails, others end in the middle of a file
            atomic.remove_dead(self.output_dir)
        seconds = time.monotonic() - start
        logging.info(
            "%s in %s in %.1f s, %.0f a second; %d were done before",
            words.counted(to_do, "row"),
            words.counted(len(missing), "shard"),
            seconds,
            to_do / max(seconds, 1e-9),
            total - to_do,
        )

    def _is_settled(self, part: plan.Shard) -> bool:
        """Returns whether a shard is done; rejected rows are tried again by who writes shards."""
        note = shard_writer.read_note(self.output_dir, part.file)
        if note is None or not note.is_settled:
            return False
        return note.images == shard_writer.describe_images(part, self.source, self.record_kind)

    def _write_locally(
        self, parts: Sequence[plan.Shard], total: int, inherited: Sequence[int]
    ) -> None:
        write = functools.partial(
            shard_writer.write_shard,
            source=self.source,
            record_kind=self.record_kind,
            output_dir=self.output_dir,
        )
        results = pool.run_tasks(
            write,
            parts,
            num_workers=self.num_workers,
            name_of=lambda part: part.file,
            inherited=inherited,
        )
        num_rows = {part.file: len(part.rows) for part in parts}
        done = total - sum(num_rows.values())
        noun = self.record_kind.noun
        with (
            progress.counting("converting", total=total, unit=noun, done=done) as count,
            contextlib.closing(results),
        ):
            for note in results:
                count.add(num_rows[note.shard.file])


@contextlib.contextmanager
def _explained_full_disk() -> Iterator[None]:
    try:
        yield
    except OSError as err:
        if err.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OSError(
            f"{err.filename}: {err.strerror}: make room and run the same command again, it goes on "
            "where it stopped"
        ) from err


def _narrowed(source: sources.Source, wanted: plan.Plan, record_kind: kind.Kind) -> sources.Source:
    """What workers need to know of the data set; all of a zip's directory would be 100 MB each."""
    rows = [row for part in wanted.shards for row in part.rows]
    return source.narrowed(record_kind.images(rows).keys())


def _already_complete(wanted: plan.Plan, output_dir: pathlib.Path) -> manifest.Manifest:
    dataset = manifest.read_manifest(output_dir)
    finalize.remove_notes(wanted, dataset, output_dir)
    logging.info("%s is complete already", output_dir)
    return dataset
