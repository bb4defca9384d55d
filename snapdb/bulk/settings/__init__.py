"""Settings of a run.

==============  ==========================================================
module          what is in it
==============  ==========================================================
``setting``     one setting as a checked attribute; sections of settings
``kinds``       whole numbers, numbers, choices, extensions, weights, memory
``criteria``    which images of the archive are used
``sections``    the stretch, the zero point's keyword, the load, the preview
``config``      :class:`Config`: all of them, how they go together, a digest
``toml``        TOML in and out, Cutana's files among them
==============  ==========================================================
"""
