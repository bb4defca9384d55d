"""The pixels of a part.

`plane_windows` reads windows, `plain_windows` those of plain files; `windows` gives them, many at once,
`layers` brings those of one image to the stamps' size, `stamps` makes stamps of layers; `companions` are
noise and flags, `local_wcs` a stamp's world coordinates.
"""
