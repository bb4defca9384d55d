"""Stacks of cutouts as files: FITS tables and Zarr folders."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from snapdb.archive.epochs.table import fill_table
from snapdb.archive.guard import check_output
from snapdb.errors import UsageError
from snapdb.sky.layer_cards import CardsOfLayers
from snapdb.storage import write_atomically

if TYPE_CHECKING:
    from snapdb.archive.epochs.stack import CutoutStack

SUFFIXES = (".fits", ".zarr")
"""What a stack is written as."""


def write_stack(stack: "CutoutStack", path: Path, *, overwrite: bool) -> Path:
    """Write a stack; see :meth:`CutoutStack.write`."""
    check_suffix(path)
    facts = {
        "ra": stack.ra,
        "dec": stack.dec,
        "aligned": stack.aligned,
        "flag_bits": {name: int(bit) for name, bit in stack.flag_bits.items()},
    }
    planes = dict(stack.planes)
    if stack.footprint is not None:
        planes["footprint"] = stack.footprint
    parts = (planes, stack.table, stack.missing, stack.make_wcs_cards(), facts)
    if path.suffix.lower() == ".zarr":
        from snapdb.archive.epochs.stack_zarr import write_stack_zarr

        write_stack_zarr(path, *parts, overwrite=overwrite)
        return path
    from snapdb.formats.stack_fits import write_stack_fits

    check_output(path, overwrite=overwrite)
    with write_atomically(path, overwrite=overwrite) as out:
        write_stack_fits(out, *parts)
    return path


def read_stack_parts(path: Path) -> dict[str, Any]:
    """Read what makes a stack; see :meth:`CutoutStack.read`."""
    check_suffix(path)
    if path.suffix.lower() == ".zarr":
        from snapdb.archive.epochs.stack_zarr import read_stack_zarr

        parts = read_stack_zarr(path)
    else:
        from snapdb.formats.stack_fits import read_stack_fits

        parts = read_stack_fits(path)
    parts["wcs"] = CardsOfLayers(parts.pop("wcs_cards"))
    if parts["missing"] is None:
        parts["missing"] = fill_table([])
    parts["footprint"] = parts["planes"].pop("footprint", None) if parts["aligned"] else None
    return parts


def check_suffix(path: Path) -> None:
    """Refuse a name that does not say a format.

    Raises
    ------
    UsageError
        If its suffix is another than those of :data:`SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        msg = f"{path}: a stack is kept as {' or '.join(SUFFIXES)}; end the name so"
        raise UsageError(msg, path=str(path))
