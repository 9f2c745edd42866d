"""Which kind of series a stack is, by plane, times and description."""

import dataclasses
import re
from collections.abc import Callable, Sequence

import numpy as np

from spine_tf.studies import stack as stack_module


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decision:
    """A kind and why.

    Attributes:
        kind: as the series CSV names it; None where it is none of the three.
        confidence: 0 to 1.
        reason: our own words and numbers, never text of a header.
    """

    kind: str | None
    confidence: float
    reason: str


def decide(stack: stack_module.Stack, read_pixels: Callable[[], Sequence[np.ndarray]]) -> Decision:
    """Returns the kind of a stack."""
    shares = np.abs(stack.normal)
    plane = ("Sagittal", "Coronal", "Axial")[int(np.argmax(shares))]
    if plane == "Coronal" or shares.max() < 0.7:
        return Decision(kind=None, confidence=0.9, reason=f"the plane is {plane.lower()}, oblique")
    weighting, reason = _weighting(stack)
    if weighting == "T1" and plane == "Sagittal":
        return Decision(kind="Sagittal T1", confidence=0.9, reason=reason)
    if weighting == "T2":
        kind = "Sagittal T2/STIR" if plane == "Sagittal" else "Axial T2"
        return Decision(kind=kind, confidence=0.9, reason=reason)
    return Decision(kind=None, confidence=0.5, reason=f"{plane.lower()}, {reason}")


def _weighting(stack: stack_module.Stack) -> tuple[str, str]:
    if stack.echo_time is not None and stack.echo_time < 30:
        is_pd = (stack.repetition_time or 0) > 1200
        return "PD" if is_pd else "T1", f"TE is {stack.echo_time:g} ms"
    if stack.echo_time is not None and stack.echo_time >= 60:
        return "T2", f"TE is {stack.echo_time:g} ms"
    text = f"{stack.series_description} {stack.protocol_name}".lower()
    for weighting, pattern in (("T1", "t1"), ("T2", "t2|stir|tirm")):
        if re.search(pattern, text):
            return weighting, f"the description says {weighting}"
    return "", "neither TE nor the description says which weighting"


def rank(stack: stack_module.Stack, decision: Decision) -> tuple[float, ...]:
    """Returns what orders the stacks of one kind, the best least."""
    is_contrast = decision.kind == "Sagittal T1" and stack.contrast_agent is not None
    return is_contrast, -len(stack.files), max(stack.pixel_spacing)
