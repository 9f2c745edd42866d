"""Which of the three graded kinds a series is, why, and how sure that is.

Geometry says the plane; TE, TR and TI say the weighting; where they are silent the description
does, and where that is silent too, or contradicts them, the pixels. What is left out for other
reasons (localisers, derived images, diffusion, other parts of the body) is no question here.
"""

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from spine_tf.studies import (
    canal_contrast,
    plane as plane_module,
    series_words,
    stack as stack_module,
)

SAGITTAL, AXIAL = plane_module.SAGITTAL, plane_module.AXIAL
KINDS: Mapping[tuple[str, str], str] = types.MappingProxyType(
    {
        (SAGITTAL, "T1"): "Sagittal T1",
        (SAGITTAL, "T2"): "Sagittal T2/STIR",
        (AXIAL, "T2"): "Axial T2",
    }
)

# Times of 447 lumbar series of two vendors, where the rule for TE made no error.
_T1_BELOW_MS, _T2_FROM_MS = 30.0, 60.0
_PD_ABOVE_MS = 1200.0
_STIR_TI_MS = (80.0, 300.0)
_T1_TI_MS = (400.0, 1500.0)
_GRADIENT_T1_BELOW_MS = 8.0

# No error in 447 leaves (447 + 1) / (447 + 2) to the next series (Laplace's rule of succession).
_SURE = 0.998
# Descriptions are typed by people and copied with protocols; no public figure says how often wrong.
_SAID = 0.95
# What times are worth against a description that says otherwise, where pixels can't be asked.
_CONTRADICTED = 0.7
# Less than this, of all weightings together, is no answer.
_LEAST = 0.6

# Of a normal with the patient's left-right axis: neither sagittal nor across it, but oblique.
_OBLIQUE_COSINES = (0.5, 0.75)

ReadPixels = Callable[[], Sequence[np.ndarray]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decision:
    """What a series is.

    Attributes:
        kind: one of KINDS, or None where it is none of them or nobody can say.
        confidence: that this is right, from 0 to 1.
        reason: in our own words and numbers, without any text of a header.
    """

    kind: str | None
    confidence: float
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Weighting:
    """A weighting, T1, T2 or PD, or None where it stays open, and why."""

    name: str | None
    confidence: float
    reason: str


def decide(stack: stack_module.Stack, read_pixels: ReadPixels) -> Decision:
    """Says which kind of series a stack is of.

    Args:
        stack: the largest of its series.
        read_pixels: gives its middle slices, float32 (rows, columns), in stack order, or none; it
            is called only where headers leave the weighting open or contradict themselves.
    """
    low, high = _OBLIQUE_COSINES
    is_oblique = low < abs(stack.normal[0]) < high
    plane = "oblique" if is_oblique else plane_module.of(stack.normal.tolist())
    if plane not in (SAGITTAL, AXIAL):
        return Decision(
            kind=None, confidence=_SURE, reason=f"{plane} slices, expected sagittal or axial ones"
        )
    found = _find_weighting(stack, plane, read_pixels)
    if found.name is None:
        return Decision(
            kind=None, confidence=found.confidence, reason=f"{plane}; {found.reason}: unknown"
        )
    kind = KINDS.get((plane, found.name))
    ending = "" if kind else f", and {plane} {found.name} is not graded"
    reason = f"{plane}; {found.reason}: {found.name}{ending}"
    return Decision(kind=kind, confidence=found.confidence, reason=reason)


def rank(
    stack: stack_module.Stack, decision: Decision, *, num_images: int | None = None
) -> tuple[float, ...]:
    """Returns what orders several series of one kind; the least is the best.

    A contrast agent comes last; then more images, finer pixels, spin echo before STIR count.

    Args:
        stack: the largest of its series.
        decision: what it is.
        num_images: how many images the whole series has; None is as many as the stack.
    """
    is_t1 = decision.kind == KINDS[SAGITTAL, "T1"]
    return (
        float(is_t1 and series_words.has_agent(stack)),
        -float(len(stack.files) if num_images is None else num_images),
        round(stack.pixel_spacing[0] * stack.pixel_spacing[1], 4),
        float(_is_stir(stack)),
    )


def _is_stir(stack: stack_module.Stack) -> bool:
    said = series_words.weighting(stack) == "STIR"
    return said or _is_within(stack.inversion_time, _STIR_TI_MS)


def _find_weighting(stack: stack_module.Stack, plane: str, read_pixels: ReadPixels) -> _Weighting:
    times, words = _from_times(stack), _from_words(stack)
    if times.name and words.name in (None, times.name):
        return times
    if times.name is None and words.name:
        return dataclasses.replace(words, reason=f"{times.reason}, {words.reason}")
    seen = _from_pixels(stack, plane, read_pixels)
    if times.name is None:
        return dataclasses.replace(seen, reason=f"{times.reason}, {words.reason}, {seen.reason}")
    reason = f"{times.reason} against {words.reason}, {seen.reason}"
    if seen.name in (times.name, words.name):
        return dataclasses.replace(seen, reason=reason)
    return _Weighting(name=times.name, confidence=_CONTRADICTED, reason=reason)


def _from_times(stack: stack_module.Stack) -> _Weighting:
    echo, repetition = stack.echo_time, stack.repetition_time
    if not echo or echo < 0:
        return _open("no TE")
    sequences = stack.scanning_sequence or ()
    if _is_within(stack.inversion_time, _STIR_TI_MS):
        return _sure("T2", f"TI {stack.inversion_time:.0f} ms as in STIR")
    if echo < _T1_BELOW_MS:
        return _from_short_echo(stack, echo, repetition, sequences)
    if echo < _T2_FROM_MS:
        return _open(f"TE {echo:.0f} ms, between those of T1 and T2")
    if stack.inversion_time and stack.inversion_time > _T1_TI_MS[1]:
        return _open(f"TI {stack.inversion_time:.0f} ms, which attenuates fluid")
    return _sure("T2", f"TE {echo:.0f} ms")


def _from_short_echo(
    stack: stack_module.Stack, echo: float, repetition: float | None, sequences: Sequence[str]
) -> _Weighting:
    times = f"TE {echo:.0f} ms"
    is_inverted = _is_within(stack.inversion_time, _T1_TI_MS)
    if is_inverted:
        return _sure("T1", f"{times}, TI {stack.inversion_time:.0f} ms")
    if "IR" in sequences:
        return _open(f"{times}, inversion without a TI")
    if "GR" in sequences and echo >= _GRADIENT_T1_BELOW_MS:
        return _open(f"{times}, gradient echo")
    if repetition and repetition > _PD_ABOVE_MS:
        return _sure("PD", f"{times}, TR {repetition:.0f} ms")
    return _sure("T1", times)


def _from_words(stack: stack_module.Stack) -> _Weighting:
    said = series_words.weighting(stack)
    if said is None:
        return _open("no weighting in the description")
    return _Weighting(
        name="T2" if said == "STIR" else said,
        confidence=_SAID,
        reason=f"the description says {said}",
    )


def _from_pixels(stack: stack_module.Stack, plane: str, read_pixels: ReadPixels) -> _Weighting:
    slices = read_pixels()
    if not slices:
        return _open("no slice can be decoded")
    shares = canal_contrast.classify(slices, stack, plane)
    name = max(shares, key=lambda each: shares[each])
    text = ", ".join(f"{each} {share:.2f}" for each, share in shares.items())
    is_clear = shares[name] >= _LEAST
    return _Weighting(
        name=name if is_clear else None,
        confidence=shares[name] if is_clear else 1 - shares[name],
        reason=f"the pixels say {text}",
    )


def _sure(name: str, reason: str) -> _Weighting:
    return _Weighting(name=name, confidence=_SURE, reason=reason)


def _open(reason: str) -> _Weighting:
    return _Weighting(name=None, confidence=0.5, reason=reason)


def _is_within(value: float | None, limits: tuple[float, float]) -> bool:
    return value is not None and limits[0] <= value <= limits[1]
