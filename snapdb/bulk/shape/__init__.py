"""Batches of stamps as arrays: other sizes, mixed channels, stretches, fluxes. Opens nothing.

============  =======================================================================
`resample`    stamps of one size to another number of pixels; their noise, flags, WCS
`compiled`    the same straight from an image's rows, by compiled code
`weights`     the weights of one axis
`mix`         channels into channels of the output, and which is which
`stretch`     black and white of each stamp, and what lies between
`brightness`  pixels between the two, as brightness from 0 to 1 or as grey levels
`limits`      which values become black and white
`greys`       grey levels by looking them up
`flux`        counts to flux by a zero point
`steps`       all of it in one go, in the processor's cache
============  =======================================================================
"""
