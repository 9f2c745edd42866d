"""The report's first sentences: how good, against what, with what doubt."""

from collections.abc import Mapping
from typing import Any

from spine_tf.pages import charts

# Half the width of a 95 % interval above which a report says that it has too few studies.
_WIDE = 0.05


def sentences(analysis: Mapping[str, Any]) -> list[str]:
    """Returns what the figures say, most important first."""
    found = [_accuracy(analysis), _against_majority(analysis), _against_labels(analysis)]
    found.append(_width(analysis))
    found += [_worst_class(analysis), _calibration(analysis), _report(analysis)]
    return [sentence for sentence in found if sentence]


def split_in_words(split: str) -> str:
    """Says what a split is and what has seen it."""
    if split == "test":
        return "the test split, which training, search and calibration never read"
    if split == "oof":
        return "all folds, each predicted by the model that did not train on it (out of fold)"
    if split == "external":
        return "another records directory than the one trained on (external validation)"
    return f"{split}, which training, early stopping and calibration never read"


def _accuracy(analysis: Mapping[str, Any]) -> str:
    figure = analysis["metrics"]["accuracy"]
    return (
        f"{charts.percent(figure['value'])} of {analysis['num_examples']} crops from "
        f"{analysis['num_studies']} studies get the grade that the readers gave"
        f"{_between(figure)}."
    )


def _against_majority(analysis: Mapping[str, Any]) -> str:
    lead = analysis["lead_over_majority"]["accuracy"]
    majority = analysis["baselines"]["majority"]["accuracy"]["value"]
    always = (
        f"Always giving the most frequent training grade is right in {charts.percent(majority)}"
    )
    if lead["low"] is None:
        return f"{always}; with one study nothing can be said about the difference."
    points = f"{100 * lead['low']:+.1f} to {100 * lead['high']:+.1f} points"
    if lead["low"] > 0.0:
        return f"{always}: the model is better by {100 * lead['value']:.1f} points ({points})."
    if lead["high"] < 0.0:
        return f"{always}: the model is worse ({points})."
    return f"{always}: these data do not show that the model is better ({points})."


def _against_labels(analysis: Mapping[str, Any]) -> str:
    if "labels" not in analysis["baselines"]:
        return ""
    accuracy = analysis["baselines"]["labels"]["accuracy"]["value"]
    lead = analysis["lead_over_labels"]["accuracy"]
    text = (
        f"The study's other grades alone, without a pixel, are right in {charts.percent(accuracy)}"
    )
    if lead["low"] is None:
        return f"{text}."
    points = f"{100 * lead['low']:+.1f} to {100 * lead['high']:+.1f} points"
    if lead["low"] > 0.0:
        return f"{text}: the model sees more than that ({points})."
    return f"{text}: these data do not show that the model sees more than that ({points})."


def _width(analysis: Mapping[str, Any]) -> str:
    figure = analysis["metrics"]["accuracy"]
    if figure["low"] is None:
        return "One study gives no interval: read every figure as an anecdote."
    half = (figure["high"] - figure["low"]) / 2
    if half <= _WIDE:
        return ""
    return (
        f"The interval is wide, about \u00b1{100 * half:.0f} points, because "
        f"{analysis['num_studies']} studies are few; smaller differences between models are noise."
    )


def _worst_class(analysis: Mapping[str, Any]) -> str:
    recalls = {
        name: figures["recall"]
        for name, figures in analysis["per_class"].items()
        if figures["recall"]["value"] is not None
    }
    worst = min(recalls, key=lambda name: recalls[name]["value"])
    figure = recalls[worst]
    count = analysis["class_counts"][worst]
    return (
        f"It is weakest on {worst}: {charts.percent(figure['value'])} of {count} are "
        f"found{_between(figure)}."
    )


def _calibration(analysis: Mapping[str, Any]) -> str:
    error = analysis["metrics"]["expected_calibration_error"]["value"]
    points = f"{100 * error:.1f} points"
    return f"Its confidence is off by {points} on average (expected calibration error)."


def _report(analysis: Mapping[str, Any]) -> str:
    report = analysis["baselines"].get("report")
    if report is None:
        return ""
    return (
        f"The reference experiment's report gives {charts.percent(report['accuracy']['value'], 2)} "
        "for this task, on its own split and its own number of examples: a landmark only."
    )


def _between(figure: Mapping[str, Any]) -> str:
    if figure["low"] is None:
        return ""
    return (
        f" (95\u202f% interval {charts.percent(figure['low'])} to {charts.percent(figure['high'])})"
    )
