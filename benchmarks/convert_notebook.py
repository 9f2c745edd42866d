"""The reference of the converter's benchmark: what a notebook does, one row after the other.

python benchmarks/convert_notebook.py DATA_DIR OUTPUT_FILE prints wall and CPU seconds of the loop.
"""

import pathlib
import sys
import time

import numpy as np
import pandas as pd
import pydicom
import tensorflow as tf

_ROI_PX, _ROI_MM = 128, 50.0


def main() -> None:
    """Converts every row with a label."""
    data_dir, output = pathlib.Path(sys.argv[1]), sys.argv[2]
    coordinates = pd.read_csv(data_dir / "train_label_coordinates.csv")
    grades = pd.read_csv(data_dir / "train.csv").set_index("study_id")
    severities = {"Normal/Mild": 0, "Moderate": 1, "Severe": 2}
    start, start_cpu = time.perf_counter(), time.process_time()
    with tf.io.TFRecordWriter(output) as writer:
        for row in coordinates.itertuples():
            condition = row.condition.lower().replace(" ", "_")
            level = row.level.lower().replace("/", "_")
            label = grades.loc[row.study_id, f"{condition}_{level}"]
            path = data_dir / f"train_images/{row.study_id}/{row.series_id}"
            crop = _crop(path / f"{row.instance_number}.dcm", row.x, row.y)
            writer.write(_example(crop, severities[label]).SerializeToString())
    print(time.perf_counter() - start, time.process_time() - start_cpu)


def _crop(path: pathlib.Path, x: float, y: float) -> np.ndarray:
    dataset = pydicom.dcmread(path)
    dataset.pixel_array_options(decoding_plugin="pydicom")
    image = dataset.pixel_array.astype(np.float32)
    half = round(_ROI_MM / float(dataset.PixelSpacing[0]) / 2)
    left, top = max(round(x) - half, 0), max(round(y) - half, 0)
    patch = image[top : round(y) + half, left : round(x) + half]
    patch = (patch / max(image.max(), 1))[..., np.newaxis]
    return tf.image.resize(patch, (_ROI_PX, _ROI_PX)).numpy()


def _example(crop: np.ndarray, label: int) -> tf.train.Example:
    image = tf.train.Feature(
        bytes_list=tf.train.BytesList(value=[(crop * 65535).astype(np.uint16).tobytes()])
    )
    number = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    features = tf.train.Features(feature={"image": image, "label": number})
    return tf.train.Example(features=features)


if __name__ == "__main__":
    main()
