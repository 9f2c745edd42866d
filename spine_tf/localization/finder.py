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
        in_words: which weights these are, for every report.
        temperature: divides the numbering's scores.
        draw: makes what draws heatmaps of a reader's slices.
        warm: loads the networks and asks each once.
    """

    in_words: str
    temperature: float
    draw: Callable[[slice_reader.SliceReader], heatmaps.Source]
    warm: Callable[[], None]

    def find(
        self, source: sources.Source, study: imaged_study.ImagedStudy
    ) -> study_points.Localized:
        """Returns the points of a study whose images a source has."""
        failed: set[str] = set()
        reader = slice_reader.SliceReader(source, windows.NUM_SLICES, failed=failed)
        found = study_points.localize(
            study,
            self.draw(reader),
            temperature=self.temperature,
            brightness=weighting.make_brightness(reader),
        )
        return dataclasses.replace(found.with_unreadable(failed), finder=self.in_words)


def load(localizer_dir: pathlib.Path) -> Finder:
    """Reads and verifies a localiser; its networks are loaded when they are first asked.

    Args:
        localizer_dir: a localiser, or an export that brings one along.

    Raises:
        ValueError: see `localizer.read`.
    """
    own = localizer_dir / localizer_module.IN_EXPORT
    is_export = own.is_dir() and not (localizer_dir / localizer_module.FILE_NAME).exists()
    return _of(localizer_module.read(own if is_export else localizer_dir), "the localiser")


def _of(found: localizer_module.Localizer, what: str) -> Finder:
    @functools.cache
    def loaded() -> "networks.Networks":
        # TensorFlow is imported only now: given points do without it.
        from spine_tf.localization import networks

        return networks.Networks(found)

    return Finder(
        in_words=f"{what} {found.name!r}",
        temperature=found.temperature,
        draw=lambda reader: loaded().of(reader),
        warm=lambda: loaded().warm(),
    )


def choose(localizer_dir: pathlib.Path | None, exports: Sequence[pathlib.Path] = ()) -> Finder:
    """Returns the localiser that is named, else the first of an export, else the package's own.

    Args:
        localizer_dir: that the user named; None is none.
        exports: verified directories.

    Raises:
        ValueError: see `localizer.read` and `localizer.read_default`.
    """
    if localizer_dir is not None:
        return load(localizer_dir)
    for directory in (one / localizer_module.IN_EXPORT for one in exports):
        if directory.is_dir():
            return load(directory)
    return _of(localizer_module.read_default(), "the package's own localiser")
