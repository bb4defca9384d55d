"""A PSF's image as a new FITS file."""

import io
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from snapdb.errors import ObjectExistsError, StorageError
from snapdb.types import FloatArray


def write_array(data: FloatArray, cards: Mapping[str, tuple[str | bool | float, str]], path: Path) -> Path:
    """Write an array and its cards; the file appears whole, or not at all.

    Parameters
    ----------
    data : array
        Pixels, written as float64.
    cards : mapping
        Values and comments by keyword.
    path : Path
        A new file, in a folder that exists.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ObjectExistsError
        If there is a file of that name.
    StorageError
        If it cannot be written.
    """
    from astropy.io import fits  # noqa: TID251  # the layer stands beside formats and cannot use it

    image = fits.PrimaryHDU(data.astype(">f8"))
    for keyword, card in cards.items():
        image.header[keyword] = card
    content = io.BytesIO()
    image.writeto(content)
    # A name of its own first: a link to the asked name is refused where that is taken.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        temporary.write_bytes(content.getvalue())
        os.link(temporary, path)
    except FileExistsError as err:
        msg = f"{path} exists: a PSF is written to a new file"
        raise ObjectExistsError(msg, path=str(path)) from err
    except OSError as err:
        msg = f"{path} cannot be written ({err.strerror or err}): name a new file in a folder that exists"
        raise StorageError(msg, path=str(path)) from err
    finally:
        temporary.unlink(missing_ok=True)
    return path
