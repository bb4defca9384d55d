"""Batches of stamps as arrays: other sizes, mixed channels, stretches, fluxes. Opens nothing.

============  =======================================================================
`resample`    stamps of one size to another number of pixels; their noise, flags, WCS
`weights`     the weights of one axis
`mix`         channels into channels of the output, and which is which
`stretch`     brightness from 0 to 1, or grey levels
`limits`      which values become black and white
`greys`       grey levels by looking them up
`flux`        counts to flux by a zero point
`steps`       all of it in one go, in the processor's cache
============  =======================================================================
"""
