"""Fits of PSFs to stamps, on arrays alone.

- `linear`: the flux at a known position, in closed form, any number of stamps in one call.
- `blended`: fluxes of overlapping sources together; `scene` joins their pixels, `components` solves.
- `free`: positions and fluxes.
- `stamps`: squares out of an image. `residual`: the image without its sources.
"""
