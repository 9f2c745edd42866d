"""What headers alone tell to be no lumbar series to grade: planned by, computed, of another part.

Descriptions are free texts in any language, so they are looked at for a few words only; what they
say of the lumbar spine outweighs the body part, which is often left at what was chosen last.
"""

import re

from spine_tf.studies import outcome, stack as stack_module

_LOCALIZER = re.compile(
    r"\b(loc|localizer|localiser|localizador|localizer\d|scout|survey|surv|pilot|topogram|smartbrain"
    r"|calib\w*|shim\w*|3 ?plane|3 ?pl|ref(erence)? scan|plan(ning)? scan)\b"
)
_PROJECTION_WORDS = frozenset({"MIP", "MINIP", "MNIP", "PROJECTION IMAGE", "CSA MIP"})
_PROJECTION = re.compile(r"\b(mip|minip|projection|projected)\b")
_COMPUTED = re.compile(
    r"\b(mpr|subtraction|subtracted|sub|screen ?save|screenshot|report|fusion)\b"
)
_NOT_MAGNITUDE = frozenset(
    {"P", "PHASE", "PHASE MAP", "I", "IMAGINARY", "VELOCITY", "VELOCITY MAP", "FAT", "F"}
)
_DIFFUSION_WORDS = frozenset({"DIFFUSION", "ADC", "TRACEW", "FA", "EADC", "TENSOR"})
_DIFFUSION = re.compile(r"\b(dwi|dti|adc|eadc|diff|diffusion|tracew?|resolve|ivim)\b")
_DIFFUSION_SEQUENCE = re.compile(r"^\*?ep_b\d")

_LUMBAR = re.compile(
    r"lumb|lomb|\b(lws|l ?spine|ls ?spine|lss|lsp|tl ?spine|l s spine|l5 ?s1|sacrum)\b|lenden"
)
_OTHER_PART = re.compile(
    r"cervi|thorac|dorsal spine|brain|cerebr|sch(a|ae|ä)del|knee|knie|rodilla|shoulder|schulter"
    r"|hombro|ankle|wrist|elbow|prostat|breast|mamm|liver|leber|abdom|cardi|pituit|orbit|sacroil"
    r"|\b(head|kopf|neck|c ?spine|t ?spine|hws|bws|hip|hips|hufte|hüfte|pelvis|becken|foot|hand"
    r"|femur|thigh|leg|arm|heart|herz|chest|thorax|iac|tmj|isg|si joints?|skull|carotid)\b"
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
    image_type = stack.image_type or ()
    if image_type[:1] == ("DERIVED",) or image_type[1:2] == ("SECONDARY",):
        return "ImageType is derived or secondary"
    if _NOT_MAGNITUDE & set(image_type[2:]):
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
            is_silent = name == "BodyPartExamined" and _LUMBAR.search(
                _plain(stack.study_description)
            )
            return "" if is_silent else f"{name} names another part of the body"
    return ""


def _description(stack: stack_module.Stack) -> str:
    return _plain(f"{stack.series_description or ''} {stack.protocol_name or ''}")


def _plain(text: str | None) -> str:
    """Words in small letters, divided by single spaces."""
    return " ".join(re.findall(r"\w+", (text or "").replace("_", " ").lower()))
