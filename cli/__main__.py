"""`python -m snapdb.cli` is `snapdb`."""

from . import main

main()
