"""All structures of a patient in the order in which they are painted: later ones cover earlier."""

from spine_tf.synthesis import (
    canal,
    discs,
    facets,
    foramina,
    patient as patient_module,
    soft_tissue,
    structure,
    vertebrae,
)


def make_structures(patient: patient_module.Patient) -> tuple[structure.Structure, ...]:
    """Returns the structures of a patient.

    Discs come before bodies, whose hollow end plates cut them to a lens, and after the sac, which
    they dent; facets and flavum come last around the canal and give it its shape.
    """
    return (
        *soft_tissue.make_vessels(patient),
        *soft_tissue.make_muscles(patient),
        *canal.make_epidural_fat(patient),
        *foramina.make_foraminal_fat(patient),
        *canal.make_sac(patient),
        *discs.make_discs(patient),
        *vertebrae.make_pedicles(patient),
        *vertebrae.make_bodies(patient),
        *vertebrae.make_pedicle_roots(patient),
        *vertebrae.make_arches(patient),
        *foramina.make_exiting_roots(patient),
        *canal.make_flavum(patient),
        *facets.make_facets(patient),
        *facets.make_traversing_roots(patient),
    )
