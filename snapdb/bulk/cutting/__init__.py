"""The pixels of a part: `windows` out of planes, `stamps`, `companions` (noise, flags), `local_wcs`."""
