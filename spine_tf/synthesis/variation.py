"""How studies of a phantom differ: who is scanned, by which protocol, on which scanner.

Without parts to vary, all is as usual. Each part draws from a generator of its own, so that a part
more or less leaves the others as they are.
"""

import functools

import numpy as np

from spine_tf.synthesis import (
    evidence,
    lesions,
    patient as patient_module,
    phantom_config,
    protocol,
    sequence as sequence_module,
    varied_patient,
    varied_protocol,
    varied_sequence,
)


class Study:
    """What draws the parts of one study."""

    def __init__(self, config: phantom_config.PhantomConfig, index: int) -> None:
        self._config, self._parts = config, config.varied
        self._rngs = {
            part: np.random.default_rng([config.seed, index, 1 + number])
            for number, part in enumerate(phantom_config.PARTS)
        }
        self._show: evidence.Show = evidence.show_all
        if config.edition == 2:
            draws = np.random.default_rng([config.seed, index, 1 + len(phantom_config.PARTS)])
            self._show = functools.partial(evidence.show_in_part, rng=draws)
        self.kind = varied_patient.USUAL
        if phantom_config.ANATOMY in self._parts:
            self.kind = varied_patient.draw_kind(self._rngs[phantom_config.ANATOMY])
        self._tissues = varied_sequence.draw_tissues(
            self.kind.age, self._rngs[phantom_config.CONTRAST]
        )

    def make_patient(self, rng: np.random.Generator) -> patient_module.Patient:
        """Returns the patient; `rng` draws a usual one."""
        if phantom_config.ANATOMY in self._parts:
            anatomy = self._rngs[phantom_config.ANATOMY]
            patient = varied_patient.draw_patient(self.kind, anatomy, self._show)
        else:
            patient = patient_module.make_patient(rng, show=self._show)
        if phantom_config.CURVATURE in self._parts:
            patient = varied_patient.bend(patient, self._rngs[phantom_config.CURVATURE])
        if phantom_config.LESIONS in self._parts:
            draws = self._rngs[phantom_config.LESIONS]
            patient = lesions.affect(patient, lesions.draw(patient, draws), draws)
        return patient

    def make_series(
        self, patient: patient_module.Patient, first_series_id: int, rng: np.random.Generator
    ) -> tuple[protocol.Series, ...]:
        """Returns the series; `rng` draws usual ones."""
        if phantom_config.PROTOCOL in self._parts:
            draws = self._rngs[phantom_config.PROTOCOL]
            return varied_protocol.make_series(patient, first_series_id, draws)
        return protocol.make_series(patient, self._config, first_series_id, rng)

    def draw_sequence(self, description: str, rng: np.random.Generator) -> sequence_module.Sequence:
        """Returns contrast and imperfections of a series; `rng` draws usual ones."""
        drawn = sequence_module.draw_sequence(description, rng)
        if phantom_config.CONTRAST in self._parts:
            draws = self._rngs[phantom_config.CONTRAST]
            drawn = varied_sequence.with_contrast(drawn, self._tissues, draws)
        if phantom_config.SCANNER in self._parts:
            drawn = varied_sequence.with_scanner(drawn, self._rngs[phantom_config.SCANNER])
        return drawn
