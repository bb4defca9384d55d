"""Forced fluxes of targets on every image that holds them.

Asking: `recipe` (what decides a value, and so its provenance), `psf_choice`, `ephemeris`, `plan`.
Engine: `spots` (a target on an image: its pixels), `batch` and `forced` (many at once), `kept`
(what is known is not measured again). Answers: `light_curve`, `catalog`, `reference`, `refine`,
`combine` (nights), `outputs`, `plot`. `measuring` puts them on the archive.
"""
