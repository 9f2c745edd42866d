"""Records of a region of interest each: `convert --kind roi`."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import ClassVar

from spine_tf import labels
from spine_tf.configuration import record_kind, roi_config
from spine_tf.conversion import kind
from spine_tf.crops import cutting, record
from spine_tf.dicom import reasons
from spine_tf.rsna import annotations, sources
from tfrecords import schema


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoiKind:
    """A record an annotation; a `kind.Kind`, whose rows are annotations."""

    region: roi_config.RoiConfig

    name: ClassVar[str] = record_kind.ROI
    noun: ClassVar[str] = "ROI"
    read_at_once: ClassVar[str] = "images"
    description: ClassVar[str] = (
        "Regions of interest of lumbar spine MRI, cut out in millimetres around annotated points. "
        "Written by spine_tf.convert; manifest.json says how."
    )
    conditions: ClassVar[tuple[str, ...]] = labels.CONDITIONS
    needed: ClassVar[tuple[str, ...]] = conditions
    fixed_region: ClassVar[roi_config.RoiConfig | None] = None
    rows_per_shard: ClassVar[int] = 256
    needs_labels: ClassVar[bool] = True
    has_classes: ClassVar[bool] = True

    def schema(self) -> schema.Schema:
        """See `record.record_schema`."""
        return record.record_schema(self.region)

    def rows(self, found: annotations.Annotations) -> list[annotations.Annotation]:
        """Returns the annotations."""
        return found.rows

    def images(self, rows: Iterable[annotations.Annotation]) -> kind.Images:
        """See `annotated_images`."""
        return annotated_images(rows, self.region)

    def read(
        self,
        source: sources.Source,
        rows: Iterable[annotations.Annotation],
        unreadable: set[str],
    ) -> Iterator[kind.Made | reasons.Reject]:
        """Yields a record or a reject a row."""
        fields = self.schema()
        for crop in cutting.read_crops(source, rows, self.region, unreadable):
            if isinstance(crop, reasons.Reject):
                yield crop
            else:
                yield kind.Made(
                    row=crop.annotation.key,
                    key=crop.annotation.key,
                    data=record.serialize(crop, fields),
                    label=crop.annotation.label,
                    is_cut_short=crop.is_cut_short,
                )


def annotated_images(
    rows: Iterable[annotations.Annotation], region: roi_config.RoiConfig
) -> kind.Images:
    """Returns the images of points, or their whole series where others have a share in a crop."""
    has_series = region.num_slices > 1 or region.window == "series"
    found: dict[tuple[int, int], set[int]] = {}
    for study, series, instance in (row.image for row in rows):
        found.setdefault((study, series), set()).add(instance)
    return {series: None if has_series else sorted(numbers) for series, numbers in found.items()}
