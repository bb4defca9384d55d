"""Photometry on arrays.

`psf` models, `fitting` of them to stamps; `apertures`, `discs` and `curve_of_growth`; `background`
(rings) and `image_background`; `calibration` (nJy, AB magnitudes, limits); `quality` bits.
"""
