"""Where structures of the lumbar spine lie to each other: priors and bounds in mm.

Measured on annotated points of RSNA 2024 studies (means by level, L1/L2 to L5/S1); bounds are wide
enough for short and tall people.
"""

SPACING_MM = (34.0, 34.0, 33.0, 29.0)
"""How far apart neighbouring discs' canal points lie: in SPIDER's T2 (160 discs) 37, 28 to 55."""
SPACING_SD_MM = 6.5

FORAMEN_ABOVE_MM = (7.2, 8.1, 5.9, 7.3, 2.7)
"""So much nearer to the head than the canal point lie the foramina of its level."""

RECESS_BELOW_MM = (0.0, 1.0, 1.0, 1.9, 3.3)
"""So much nearer to the feet than the canal point is the slice on which recesses are marked."""

COVERAGE_MM = 3.0
"""A stack whose nearest plane is farther from a point doesn't show it."""

AGREEMENT_MM = 3.0
"""By so much (standard deviation) independent routes to one level differ."""

FORAMINA_APART_MM = (24.0, 42.0)
RECESSES_APART_MM = (8.0, 32.0)
"""Left and right of one level, from the nearest to the farthest."""

FORAMEN_LATERAL_MM, RECESS_LATERAL_MM = 16.0, 9.0
"""From the midline."""

RECESS_IN_FRONT_MM = 3.5
"""So much farther to the front than the canal point lie the recesses of its level."""

SACRUM_MM = 25.0
"""So much of the slice has to show what is below L5/S1, or the lowest disc may be another one."""
