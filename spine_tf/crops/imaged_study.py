"""A study as the localiser sees it: stacks of parallel slices, from headers alone."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping

from spine_tf.crops import slice_reader
from spine_tf.dicom import geometry, header, stacks as stacks_module
from spine_tf.rsna import layout, sources

SAGITTAL_T1, SAGITTAL_T2, AXIAL_T2 = "Sagittal T1", "Sagittal T2/STIR", "Axial T2"

# Squared cosine of 45 degrees: nearer to left-right than that is a sagittal slice.
_SAGITTAL = 0.5

# A stack of one plane doesn't say how far apart slices are.
_USUAL_STEP_MM = 4.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class SliceStack:
    """Parallel slices of one series.

    Attributes:
        study_id, series_id: whose.
        description: what the series CSV says of it, such as "Sagittal T1".
        numbers: instance numbers, ascending along the normal.
        headers: the slices' headers, each with a position and an orientation.
    """

    study_id: int
    series_id: int
    description: str
    numbers: tuple[int, ...]
    headers: tuple[header.Header, ...]

    @property
    def is_sagittal(self) -> bool:
        """Whether the normal runs from side to side, whatever the description says."""
        return self.normal[0] ** 2 > _SAGITTAL

    @property
    def normal(self) -> tuple[float, float, float]:
        """Unit vector along which the slices ascend."""
        return geometry.normal(self.headers[0].orientation or ())

    @property
    def offsets(self) -> list[float]:
        """Mm of each plane along the normal, ascending."""
        return [
            geometry.position_along(self.normal, header.position or ()) for header in self.headers
        ]

    @property
    def step_mm(self) -> float:
        """How far apart neighbouring planes lie: the median, so that gaps don't count."""
        gaps = sorted(b - a for a, b in itertools.pairwise(self.offsets))
        return gaps[(len(gaps) - 1) // 2] if gaps else _USUAL_STEP_MM

    @property
    def slots(self) -> list[int]:
        """Place of each plane, counted in slices from 0: a gap has those that would fill it."""
        step_mm = self.step_mm
        steps = (max(round((b - a) / step_mm), 1) for a, b in itertools.pairwise(self.offsets))
        return list(itertools.accumulate(steps, initial=0))

    @property
    def frame(self) -> str:
        """What positions are relative to; "" where the files don't say."""
        return self.headers[0].frame_of_reference

    @property
    def is_t1(self) -> bool:
        """Whether the description says T1."""
        return "t1" in self.description.lower()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImagedStudy:
    """The stacks of a study.

    Attributes:
        study_id: the study's id.
        stacks: stacks of all series, in the order of the series CSV.
        unreadable: image files that gave no header, or no pixels to whoever asked for them.
    """

    study_id: int
    stacks: tuple[SliceStack, ...]
    unreadable: tuple[str, ...] = ()

    def with_unreadable(self, files: Iterable[str]) -> "ImagedStudy":
        """Returns the study with those of some files that are its own as unreadable ones."""
        own = {name for name in files if layout.series_of(name)[0] == self.study_id}
        return dataclasses.replace(self, unreadable=tuple(sorted(own.union(self.unreadable))))

    @property
    def sagittal(self) -> list[SliceStack]:
        """The sagittal stacks, T2 first, then by number of slices: the first fits best."""
        found = [stack for stack in self.stacks if stack.is_sagittal]
        return sorted(found, key=lambda stack: (stack.is_t1, -len(stack.numbers)))

    @property
    def axial(self) -> list[SliceStack]:
        """The other stacks: axial slices, however tilted."""
        return [stack for stack in self.stacks if not stack.is_sagittal]


def read(source: sources.Source, study_id: int, series: Mapping[int, str]) -> ImagedStudy:
    """Reads all headers of a study.

    Args:
        source: where the images are.
        study_id: the study's id.
        series: what each series is, by its id.
    """
    unreadable: set[str] = set()
    reader = slice_reader.SliceReader(source, 1, unreadable)
    found: list[SliceStack] = []
    for series_id, description in series.items():
        headers = dict(reader.series_headers(study_id, series_id))
        found += split(study_id, series_id, description, headers)
    return ImagedStudy(study_id=study_id, stacks=tuple(found), unreadable=tuple(sorted(unreadable)))


def split(
    study_id: int, series_id: int, description: str, headers: stacks_module.Headers
) -> Iterable[SliceStack]:
    """Yields the stacks of a series."""
    for stack in stacks_module.split(headers):
        yield SliceStack(
            study_id=study_id,
            series_id=series_id,
            description=description,
            numbers=stack.numbers,
            headers=tuple(headers[number] for number in stack.numbers),
        )
