"""What a run leaves: `shards` of zarr arrays, `fits` files, the `table`, and `files` written whole."""
