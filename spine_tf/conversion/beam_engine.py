"""Step 2 of a conversion on Apache Beam: one element a shard, on any runner.

The runner's workers must see the data and the output directory under the same paths.
"""

import functools
import pathlib
import shlex
from collections.abc import Sequence

from spine_tf.conversion import kind, plan, shard_writer
from spine_tf.rsna import sources


def write_shards(
    parts: Sequence[plan.Shard],
    source: sources.Source,
    record_kind: kind.Kind,
    output_dir: pathlib.Path,
    beam_args: str,
) -> None:
    """Writes the shards as a Beam pipeline and waits for its end.

    Args:
        parts: what to write; a shard that is done is left as it is.
        source: the data set.
        record_kind: of the records.
        output_dir: on a file system that all workers share.
        beam_args: Beam's own flags, as on a command line: "--runner=PortableRunner ...".

    Raises:
        ValueError: Apache Beam is not installed, or does not know the runner.
        OSError: the pipeline failed.
    """
    try:
        import apache_beam as beam
        from apache_beam.options import pipeline_options
    except ImportError as err:
        raise ValueError("--engine beam needs Apache Beam: pip install 'spine-tf[beam]'") from err
    options = pipeline_options.PipelineOptions(shlex.split(beam_args))
    write = functools.partial(
        shard_writer.write_shard, source=source, record_kind=record_kind, output_dir=output_dir
    )
    try:
        with beam.Pipeline(options=options) as pipeline:
            # Reshuffle, or the runner fuses the steps and one worker does all elements.
            shards = pipeline | "Shards" >> beam.Create(list(parts)) | beam.Reshuffle()
            _ = shards | "Write" >> beam.Map(write)
    except (ValueError, OSError):
        raise
    except Exception as err:
        # A runner raises what it likes: a RuntimeError, gRPC's where nobody answers, Dask's where a
        # worker is gone. Some put the worker's whole traceback into it; its last line is the error.
        said = str(err).strip() or type(err).__name__
        raise OSError(
            f"the Beam pipeline failed: {said.splitlines()[-1]}: mend that and run the "
            " same command again, it goes on where it stopped"
        ) from err
