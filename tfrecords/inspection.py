"""What a records directory holds, as text."""

from tfrecords import manifest, schema


def describe(dataset: manifest.Manifest, record_schema: schema.Schema) -> str:
    """Returns name, configuration, fields, and a table of splits and classes."""
    lines = [f"{dataset.name}, format version {dataset.format_version}", ""]
    lines += [f"  {name}: {_short(value)}" for name, value in dataset.config.items()]
    lines += ["", *(_field(feature) for feature in record_schema.features), ""]
    classes = record_schema["label"].class_names or ()
    lines.append(f"{'split':12}{'shards':>8}{'records':>9}{'MB':>9}" + _cells(classes))
    for split in dataset.splits:
        parts = [part for part in dataset.shards if part.split == split]
        counts = dataset.class_counts.get(split, {})
        megabytes = sum(part.num_bytes for part in parts) / 1e6
        lines.append(
            f"{split:12}{len(parts):>8}{dataset.num_examples(split):>9}{megabytes:>9.1f}"
            + _cells([str(counts.get(name, 0)) for name in classes])
        )
    rejects = ", ".join(f"{reason} {count}" for reason, count in dataset.rejects.items())
    return "\n".join([*lines, "", f"not converted: {rejects or 'none'}"])


def _field(feature: schema.Feature) -> str:
    shape = " x ".join(map(str, feature.shape))
    classes = ", ".join(feature.class_names or ())
    return f"  {feature.name:17} {feature.dtype:8} {shape or classes}".rstrip()


def _cells(texts: tuple[str, ...] | list[str]) -> str:
    return "".join(f"{text:>14}" for text in texts)


def _short(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
