"""ASDF files as the frames of FITS: blocks, tree, cards, coordinates; read with the extra ``gwcs``.

`blocks` finds where the arrays' bytes lie, `tree` which nodes of the YAML are images,
`cards` turns the metadata into header cards, `wcs` fits FITS coordinates to a gwcs,
`source` puts these together; `decode` reads boxes of compressed blocks.
"""
