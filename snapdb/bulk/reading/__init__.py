"""Stamps again: `reader` of a run, `stream` without a disk, `contact_sheet`, coordinates (`stamp_wcs`)."""
