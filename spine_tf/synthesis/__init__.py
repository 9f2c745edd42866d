"""Synthetic lumbar spine studies in the RSNA layout, with a known best score. No TensorFlow.

In the order in which a study is made: `grading` draws how severe each target is, `evidence` says
what of it is seen, `patient` draws the size, the `curve` and the discs by a `build`; `vertebrae`,
`stenosis` and `torso` are the patient's `structure`s; `protocol` says which slices are taken,
`sequence` with which contrast, `imaging` takes them;
`annotation` marks the points, `error_planting` spoils some, `oddity_planting` makes files of some
studies odd; `study` writes one, `phantom` all. Where studies are to differ far more, `variation`
draws them by `varied_patient`, `lesions`, `surroundings`, `varied_sequence` and `varied_protocol`;
`disc_truth` names all their discs. What a hospital exports instead: an `examination` of
`scan_kinds`, described in `wording`, becomes objects by `scan_header`; `hospital` piles them up.
"""
