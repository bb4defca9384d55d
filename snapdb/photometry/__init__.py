"""Photometry on arrays: PSF models (`psf`), fits (`fitting`), apertures, backgrounds, calibration; opens nothing."""
