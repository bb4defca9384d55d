"""Seam 1, bytes to planes and back: what images a file holds, where their pixels lie, and reading them.

===============  ==================================================================
module           holds
===============  ==================================================================
``describe``     :func:`describe`: every image of a file, its facts and where they are from
``grouping``     which files belong together, by name
``read``         :class:`PlaneReader`: a box of a plane from its layout
``rows``         rows of raw planes in plain files, without a plan
``write``        planes as a FITS file; ``table_fits``: tables, in ASCII alone
``header``       headers as astropy's: read, cropped, made
``wcs``          world coordinates, with the tables that other HDUs hold
``scan``         the byte index: a bounded walk over headers
``unwrap``       gzip and bzip2, bounded; ``kept`` holds the last ones
``maps``         header maps, the TOML files of ``instruments/``
``lookup``       cards looked up by a map's rules; with ``facts``, ``moment``, ``photometric``
``scales``       time scales as TIMESYS names them; ``units``: counts or a rate, by BUNIT
===============  ==================================================================

Of the whole library only this package opens FITS files.
"""
