"""What a run will do: `recipe` (settings as the engine obeys them), `sources` (rows and their
images), `choosing` (images from an archive), `placing` (windows), `weights` (channels), `plan`.
"""
