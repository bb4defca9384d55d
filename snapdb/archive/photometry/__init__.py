"""Photometry of one image.

`positions` reads what a user names as positions; `ap_phot` measures in apertures
(`aperture_settings`, `aperture_fluxes`, `aperture_table`), `psf_phot` with a PSF (`psf_pixels`,
`psf_table`), `growth` a curve of growth. The sums and fits themselves are :mod:`snapdb.photometry`.
"""
