"""How one answers converted records without predict: the reference of benchmarks/serving.py.

python benchmarks/serving_plain.py MODEL_DIR RECORDS_DIR
"""

import pathlib
import sys

from spine_tf.serving import saved_model
from tfrecords import records

_BATCH_SIZE = 256


def main() -> None:
    """Asks the exported model for all crops."""
    model_dir, records_dir = map(pathlib.Path, sys.argv[1:])
    model, source = saved_model.SavedModel(model_dir), records.open_records(records_dir)
    examples = records.load_examples(source, source.splits, (0, 1, 2))
    for start in range(0, len(examples), _BATCH_SIZE):
        part = slice(start, start + _BATCH_SIZE)
        model.ask("serving_default", image=examples.images[part], window=examples.windows[part])


if __name__ == "__main__":
    main()
