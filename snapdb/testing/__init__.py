"""Synthetic skies with known truth, and what tests of snapdb and of its users need.

================  ==========================================================
module            holds
================  ==========================================================
``skies``         :func:`make_survey`, a survey on disk and all that is true of it
``sources``       stars, galaxies and a supernova
``detectors``     exposures, detectors and their WCS
``rendering``     sources integrated over pixels, noise and defects
``files``         the FITS files, sound and broken
``postgis``       a PostGIS server for tests
================  ==========================================================
"""
