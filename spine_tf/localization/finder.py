"""What finds the points of a study: loaded once, then asked study by study, of any source."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from spine_tf.crops import imaged_study, slice_reader, windows
from spine_tf.localization import heatmaps, localizer as localizer_module, study_points, weighting
from spine_tf.rsna import sources

if TYPE_CHECKING:
    from spine_tf.localization import networks


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finder:
    """A localiser that is ready.

    Attributes:
        name: which weights these are, for every report.
        temperature: divides the numbering's scores.
        draw: makes what draws heatmaps of a reader's slices.
    """

    name: str
    temperature: float
    draw: Callable[[slice_reader.SliceReader], heatmaps.Source]

    def find(
        self, source: sources.Source, study: imaged_study.ImagedStudy
    ) -> study_points.Localized:
        """Returns the points of a study whose images a source has."""
        reader = slice_reader.SliceReader(source, windows.NUM_SLICES)
        return study_points.localize(
            study,
            self.draw(reader),
            temperature=self.temperature,
            brightness=weighting.make_brightness(reader),
        )


def load(localizer_dir: pathlib.Path) -> Finder:
    """Reads and verifies a localiser; its networks are loaded when they are first asked.

    Args:
        localizer_dir: a localiser, or an export that brings one along.

    Raises:
        ValueError: see `localizer.read`.
    """
    own = localizer_dir / localizer_module.IN_EXPORT
    is_export = own.is_dir() and not (localizer_dir / localizer_module.FILE_NAME).exists()
    return _of(localizer_module.read(own if is_export else localizer_dir))


def load_default() -> Finder:
    """Returns the localiser that comes with the package.

    Raises:
        ValueError: see `localizer.read_default`.
    """
    return _of(localizer_module.read_default())


def _of(found: localizer_module.Localizer) -> Finder:
    @functools.cache
    def loaded() -> "networks.Networks":
        # TensorFlow is imported only now: given points do without it.
        from spine_tf.localization import networks

        return networks.Networks(found)

    return Finder(
        name=found.name, temperature=found.temperature, draw=lambda reader: loaded().of(reader)
    )


def choose(localizer_dir: pathlib.Path | None, exports: Sequence[pathlib.Path]) -> Finder | None:
    """Returns the localiser that is named, or the first that came with an export.

    Args:
        localizer_dir: that the user named; None is none.
        exports: verified directories.
    """
    if localizer_dir is not None:
        return load(localizer_dir)
    own = (one / localizer_module.IN_EXPORT for one in exports)
    return next((load(directory) for directory in own if directory.is_dir()), None)
