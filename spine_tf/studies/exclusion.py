"""What headers alone tell to be no lumbar series to grade: planned by, computed, of another part.

Descriptions are free texts in any language, so they are looked at for a few words only; what they
say of the lumbar spine outweighs the body part, which is often left at what was chosen last.
"""

import re

from spine_tf.studies import outcome, stack as stack_module

_LOCALIZER = re.compile(
    r"locali[sz]|lokali[sz]|локали|位置決め|rep[eé]rage|topogra|smartbrain|calib|scan ?planung"
    r"|\b(loc|scout|survey|surv|pilot|shim|3 ?plane|3 ?pl|3 ?ebenen|ref(erence)? scan|plan scan)\b"
)
_PROJECTION_WORDS = frozenset({"MIP", "MINIP", "MNIP", "PROJECTION IMAGE", "CSA MIP"})
_PROJECTION = re.compile(r"\b(mip|minip|projection|projected)\b")
_COMPUTED_WORDS = frozenset(
    {
        *("MPR", "CSA MPR", "CPR", "REFORMATTED", "RESAMPLED", "AVERAGE", "SUB", "SUBTRACTION"),
        *("FUSED", "SCREEN SAVE", "SCREEN CAPTURE", "VOLREN", "T1 MAP", "T2 MAP", "R2 MAP"),
    }
)
_COMPUTED = re.compile(
    r"\b(mpr|subtraction|subtracted|sub|screen ?save|screenshot|report|fusion)\b"
)
# What a part of the complex signal, or of its separation into water and fat, is called.
_PARTS = frozenset(
    {"P", "PHASE", "PHASE MAP", "I", "IMAGINARY", "VELOCITY", "VELOCITY MAP", "FAT", "F"}
)
_DIFFUSION_WORDS = frozenset({"DIFFUSION", "ADC", "TRACEW", "FA", "EADC", "TENSOR"})
_DIFFUSION = re.compile(r"\b(dwi|dti|adc|eadc|diff|diffusion|tracew?|resolve|ivim)\b")
_DIFFUSION_SEQUENCE = re.compile(r"^\*?ep_b\d")

_LUMBAR = re.compile(
    r"lumb|lomb|lenden|lendenwervel|пояснич|腰椎"
    r"|\b(lws|lwk|l ?spine|ls ?spine|lss|lsp|tl ?spine|l s spine|l5 ?s1)\b"
)
_OTHER_PART = re.compile(
    r"cervi|шейн|頸椎|頚椎|thora[ck]|грудн|胸椎|dorsal spine|brain|cerebr|sch(a|ae|ä)del|мозг|頭部"
    r"|knee|knie|rodilla|genou|колен|膝|shoulder|schulter|hombro|[eé]paule|плеч|肩|ankle|wrist|elbow"
    r"|prostat|breast|mamm|liver|leber|abdom|живот|腹部|cardi|pituit|orbit|sacroil|骨盤"
    r"|\b(head|kopf|neck|c ?spine|t ?spine|hws|hwk|cwk|bws|bwk|twk|hip|hips|hufte|hüfte|hanche"
    r"|cadera|pelvis|becken|bassin|bekken|таз|foot|hand|femur|thigh|leg|arm|heart|herz|chest|iac|tmj|isg"
    r"|si joints?|skull|carotid)\b"
)


def why_left_out(stack: stack_module.Stack) -> outcome.LeftOut | None:
    """Returns why a stack can be no series to grade; None where its header doesn't say so."""
    for reason, detail in (
        (outcome.Reason.LOCALIZER, _why_localizer(stack)),
        (outcome.Reason.PROJECTION, _why_projection(stack)),
        (outcome.Reason.DIFFUSION, _why_diffusion(stack)),
        (outcome.Reason.DERIVED, _why_derived(stack)),
        (outcome.Reason.OTHER_BODY_PART, _why_other_part(stack)),
    ):
        if detail:
            return outcome.LeftOut(reason=reason, detail=detail)
    return None


def _why_localizer(stack: stack_module.Stack) -> str:
    if "LOCALIZER" in (stack.image_type or ()):
        return "ImageType says so"
    return "the description says so" if _LOCALIZER.search(_description(stack)) else ""


def _why_projection(stack: stack_module.Stack) -> str:
    if _PROJECTION_WORDS & set(stack.image_type or ()):
        return "ImageType says so"
    return "the description says so" if _PROJECTION.search(_description(stack)) else ""


def _why_diffusion(stack: stack_module.Stack) -> str:
    if stack.b_value:
        return f"the b-value is {stack.b_value:g}"
    if _DIFFUSION_WORDS & set(stack.image_type or ()):
        return "ImageType says so"
    if _DIFFUSION_SEQUENCE.match(stack.sequence_name or ""):
        return "the sequence's name says so"
    return "the description says so" if _DIFFUSION.search(_description(stack)) else ""


def _why_derived(stack: stack_module.Stack) -> str:
    words = stack.image_type or ()
    # DERIVED alone is what archives make of an original that they compress with losses.
    if words[1:2] == ("SECONDARY",) or _COMPUTED_WORDS & set(words):
        return "ImageType says so"
    if _PARTS & set(words[2:]):
        return "ImageType says phase, imaginary part or fat alone"
    return "the description says so" if _COMPUTED.search(_description(stack)) else ""


def _why_other_part(stack: stack_module.Stack) -> str:
    """What says most of the series alone is asked first."""
    for name, text in (
        ("the description", _description(stack)),
        ("BodyPartExamined", _plain(stack.body_part)),
        ("the study's description", _plain(stack.study_description)),
    ):
        if _LUMBAR.search(text):
            return ""
        if _OTHER_PART.search(text):
            return f"{name} names another part of the body"
    return ""


def _description(stack: stack_module.Stack) -> str:
    return _plain(f"{stack.series_description or ''} {stack.protocol_name or ''}")


def _plain(text: str | None) -> str:
    """Words in small letters, divided by single spaces."""
    return " ".join(re.findall(r"\w+", (text or "").replace("_", " ").lower()))
