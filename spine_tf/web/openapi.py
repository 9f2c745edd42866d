"""What programs may ask, as an OpenAPI document; docs/data.md has the fields of study.json."""

from typing import Any

from spine_tf import labels
from spine_tf.pages import template
from spine_tf.readings import reading

_Schema = dict[str, Any]
_TEXT: _Schema = {"type": "string"}
_NUMBER: _Schema = {"type": "number"}
_INTEGER: _Schema = {"type": "integer"}
_SHARE: _Schema = {"type": "number", "minimum": 0, "maximum": 1}


def _object(**properties: _Schema) -> _Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: _Schema) -> _Schema:
    return {"type": "array", "items": items}


def _or_null(schema: _Schema) -> _Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _by_name(schema: _Schema) -> _Schema:
    return {"type": "object", "additionalProperties": schema}


_AT = {
    "condition": {"type": "string", "enum": list(labels.CONDITIONS)},
    "level": {"type": "string", "enum": list(labels.LEVELS)},
}
_SHIFTS = {"one_higher": _SHARE, "as_named": _SHARE, "one_lower": _SHARE}
_MODEL = {"name": _TEXT, "sha256": _TEXT}
_STUDY = _object(
    format_version=_INTEGER,
    disclaimer=_TEXT,
    study_id=_TEXT,
    doubt=_SHARE,
    points_by=_TEXT,
    models=_list(_object(**_MODEL)),
    classes=_by_name(_TEXT),
    is_competition_weighted={"type": "boolean"},
    numbering=_or_null(_object(**{"from": _TEXT}, **_SHIFTS)),
    flags=_list(_object(code=_TEXT, meaning=_TEXT)),
    routes=_list(_TEXT),
    rows=_list(
        _object(
            row_id=_TEXT,
            **_AT,
            grade=_or_null(_TEXT),
            probabilities=_by_name(_SHARE),
            answered_by={"type": "string", "enum": [each.value for each in reading.AnsweredBy]},
            models=_list(_TEXT),
            remarks=_list(_object(reason=_TEXT, detail=_TEXT, file=_TEXT)),
        )
    ),
    points=_list(
        _object(
            **_AT,
            series_id=_TEXT,
            instance_number=_INTEGER,
            x=_NUMBER,
            y=_NUMBER,
            patient_mm=_or_null(_list(_NUMBER)),
            confidence=_SHARE,
            numbering=_object(**_SHIFTS),
            flags=_list(_TEXT),
        )
    ),
    missing=_list(_object(**_AT, reason=_TEXT)),
    unreadable_files=_list(_TEXT),
    left_out=_by_name(_INTEGER),
)
_ABOUT = _object(
    version=_TEXT,
    disclaimer=_TEXT,
    points_by=_TEXT,
    models=_list(
        _object(**_MODEL, task=_TEXT, conditions=_list(_TEXT), levels=_list(_TEXT)),
    ),
    classes=_by_name(_TEXT),
    limits=_by_name(_NUMBER),
)
_HEALTH = _object(status=_TEXT, reading=_INTEGER, open=_INTEGER)
_REFUSALS = {
    400: "No zip, no study of lumbar MRI in it, or several.",
    401: "The token is missing or wrong; where the server was started with one.",
    403: "Asked under another name, or by a page of another origin.",
    408: "The zip came too slowly.",
    413: "More bytes, files, pixels or seconds than is taken.",
    415: "Not sent as application/zip.",
    429: "Too many studies at once: Retry-After says when to try again.",
    503: "The server ends, or has too many connections.",
}


def document(version: str) -> _Schema:
    """Returns the document.

    Args:
        version: of the package, in words.
    """
    return {
        "openapi": "3.1.0",
        "info": {"title": "spine_tf", "version": version, "description": template.DISCLAIMER},
        "paths": {
            "/v1/studies": {"post": _post_study()},
            "/v1/model": {"get": _get("model", "Who answers, and how much is taken", "About")},
            "/healthz": {"get": _get("health", "Whether the server answers", "Health")},
        },
        "components": {
            "schemas": {
                "Study": _STUDY,
                "About": _ABOUT,
                "Health": _HEALTH,
                "Refusal": _object(detail=_TEXT),
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _post_study() -> _Schema:
    zipped = {"application/zip": {"schema": {"type": "string", "format": "binary"}}}
    return {
        "operationId": "read_study",
        "summary": "One study, a zip of DICOM files of any names, to points and grades",
        "security": [{}, {"token": []}],
        "requestBody": {"required": True, "content": zipped},
        "responses": {"200": _answer("Its study.json", "Study")}
        | {str(status): _answer(words, "Refusal") for status, words in _REFUSALS.items()},
    }


def _get(name: str, summary: str, schema: str) -> _Schema:
    return {
        "operationId": name,
        "summary": summary,
        "security": [{}, {"token": []}],
        "responses": {"200": _answer(summary, schema)},
    }


def _answer(words: str, schema: str) -> _Schema:
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    return {"description": words, "content": {"application/json": content}}
