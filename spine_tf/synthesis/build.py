"""What a patient's vertebrae are like, from the uppermost disc of the phantom to the lowest.

Everything is counted from the sacrum: the five graded discs are the lowest five above it, whatever
the number of lumbar vertebrae. Names say what a vertebra is by count from above.
"""

import dataclasses

NUM_LEVELS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Build:
    """Tables of a patient's vertebrae; vertebra i lies below disc i. Average adult millimetres.

    Attributes:
        names: of the vertebrae.
        num_above: discs above the graded ones.
        half_width, depth: of the bodies at their upper end plates.
        taper: share of its size that a body loses towards its lower end plate.
        concavity: millimetres by which end plates are hollow.
        cortex: thickness of the bodies' rims.
        end_height: of the lowest body, below which no disc lies.
        disc_reach: width and depth of a disc as a share of the body's below it.
        front_loss, middle_loss: by which an upper end plate is pressed in at its front edge and in
            its middle: a fracture.
        spinous_length, spinous_half: of the spinous processes down to S1; a length of 0 is none.
        spinous_slant: by which they fall, millimetres a millimetre.
        spinous_u: how far beside the middle they lie.
        transverse_tip: how far lateral the transverse processes reach.
        vessels_out: how much farther than usual the large vessels lie beside the middle.
        fork_s: where the aorta divides, below the second lowest disc above the sacrum.
    """

    names: tuple[str, ...] = ("T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2")
    num_above: int = 2
    half_width: tuple[float, ...] = (20.5, 21.5, 22.5, 23.5, 24.5, 25.5, 25.0, 19.0)
    depth: tuple[float, ...] = (30.5, 32.0, 33.0, 34.0, 35.0, 35.5, 33.0, 21.0)
    taper: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.28, 0.28)
    concavity: float = 1.4
    cortex: float = 0.8
    end_height: float = 24.0
    disc_reach: tuple[float, ...] = (1.02,) * 8
    front_loss: tuple[float, ...] = (0.0,) * 8
    middle_loss: tuple[float, ...] = (0.0,) * 8
    spinous_length: tuple[float, ...] = (24.0, 26.0, 27.0, 28.0, 26.0, 19.0, 8.0)
    spinous_half: tuple[float, ...] = (7.5, 8.5, 9.5, 10.0, 9.5, 7.5, 4.5)
    spinous_slant: tuple[float, ...] = (0.2,) * 7
    spinous_u: tuple[float, ...] = (0.0,) * 7
    transverse_tip: tuple[float, ...] = (26.0, 38.0, 38.0, 38.0, 38.0, 38.0, 38.0)
    vessels_out: float = 0.0
    fork_s: float = -18.0

    @property
    def first_sacral(self) -> int:
        """Index of S1 among the vertebrae, and of the lowest graded disc."""
        return self.num_above + NUM_LEVELS - 1

    @property
    def num_lumbar(self) -> int:
        """Vertebrae between thorax and sacrum."""
        return sum(name.startswith("L") for name in self.names)

    def disc_name(self, index: int) -> str:
        """Returns a disc's name by the vertebrae above and below it, as `L4/L5`."""
        above = self.names[index - 1] if index else f"T{int(self.names[0][1:]) - 1}"
        return f"{above}/{self.names[index]}"


USUAL = Build()
