"""Positions on the sky and their pixels; footprints; times. Nothing here opens a file.

==============  ==============================================================
module          holds
==============  ==============================================================
``vectors``     unit vectors, distances, the check of a position
``wcs``         :class:`AstropyWCS`, pixels to ICRS degrees and back
``dialects``    headers as they are found in the wild, mended
``frames``      other celestial frames to ICRS and back
``footprint``   :class:`Footprint`, the spherical polygon that an image covers
``polygon``     the plane geometry under it
``matching``    many positions against many footprints
``region``      circles, polygons, boxes and ranges to search in
``relate``      which footprints overlap, cover, contain or lie within a region
``time``        header and user times as MJD
``units``       angles and coordinates as users write them
==============  ==============================================================
"""
