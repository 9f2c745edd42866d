"""What a series' free texts say of its weighting, in the spellings of vendors and languages.

Texts are looked at and never given on: they may name a patient.
"""

import re
import unicodedata

from spine_tf.studies import stack as stack_module

# Letters of other alphabets that look like the Latin ones of T1 and T2.
_LOOK_ALIKES = str.maketrans({"\u0442": "t", "\u03c4": "t"})

# T1 as in T1W, sT1W_TSE or t1_tse, neither T12 nor the vertebra of C7-T1.
_WEIGHTINGS = {
    "STIR": re.compile(r"stir|tirm|\*tir"),
    "PD": re.compile(r"(?<![a-z0-9])(pd|dp)(w|fs|_|(?![a-z]))|proton|(?<![a-z])rho(?![a-z])"),
    "T1": re.compile(r"(?<![a-z0-9][-/])t ?1(?![0-9])(?![-/][a-z]?[0-9])"),
    "T2": re.compile(r"(?<![a-z0-9][-/])t ?2(?![0-9])(?![-/][a-z]?[0-9])|(?<=pd/)t2|(?<=dp/)t2"),
}
_AGENT = re.compile(
    r"(?<![a-z])(gd|gado\w*|km|dotarem|kontrast\w*|contrast\w*|post)(?![a-z])"
    r"|[+]\s?c(?![a-z])|(?<![a-z])c[+]|\u043a\u0443(?!\w)|\u9020\u5f71"
)
_NO_AGENT = re.compile(r"(?<![a-z])(ohne|nativ|without|w/?o|sans|sin|senza|pre|non)(?![a-z])")


def weighting(stack: stack_module.Stack) -> str | None:
    """Returns T1, T2, STIR or PD as the texts say; None where they don't, or say two.

    The description comes first; the protocol's name, which a series may have from the one that it
    was copied from, counts where the description says nothing.
    """
    for text in (stack.series_description, stack.protocol_name):
        found = _weightings(_plain(text))
        if found:
            return found.pop() if len(found) == 1 else None
    return "STIR" if _WEIGHTINGS["STIR"].search(_plain(stack.sequence_name)) else None


def _weightings(text: str) -> set[str]:
    found = {name for name, pattern in _WEIGHTINGS.items() if pattern.search(text)}
    return found - {"T2"} if "STIR" in found else found


def has_agent(stack: stack_module.Stack) -> bool:
    """Returns whether a contrast agent had been given, by its attribute or the texts."""
    text = _plain(stack.series_description)
    return bool(stack.contrast_agent) or bool(_AGENT.search(text) and not _NO_AGENT.search(text))


def _plain(text: str | None) -> str:
    """Small Latin letters without accents, as far as there are such."""
    decomposed = unicodedata.normalize("NFKD", text or "").casefold()
    kept = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return kept.translate(_LOOK_ALIKES)
