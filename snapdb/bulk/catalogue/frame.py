"""A catalogue as a pandas table, in Cutana's columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snapdb.bulk.catalogue.columns import ARCSEC, DEC, FILES, PIXELS, RA, SOURCE_ID
from snapdb.bulk.catalogue.piece import Piece
from snapdb.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional


def to_frame(pieces: Sequence[Piece], filesets: Sequence[tuple[str, ...]]) -> "pd.DataFrame":
    """Put pieces together.

    Parameters
    ----------
    pieces
        Of one catalogue, in order.
    filesets
        Its lists of files.

    Returns
    -------
    pandas.DataFrame
        Columns that have no value at all are left out, save id and position.

    Raises
    ------
    ConfigError
        If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as err:
        msg = "this needs the package pandas, which is not installed: pip install 'snapdb[bulk]'"
        raise ConfigError(msg, package="pandas") from err
    texts = np.array([repr(list(paths)) for paths in filesets] + [""], dtype=object)
    columns: dict[str, list[NDArray[Any]]] = {
        SOURCE_ID: [p.source_id for p in pieces],
        RA: [p.ra for p in pieces],
        DEC: [p.dec for p in pieces],
        PIXELS: [p.diameter_pixel for p in pieces],
        ARCSEC: [p.diameter_arcsec for p in pieces],
        FILES: [texts[p.fileset] for p in pieces],
    }
    frame = pd.DataFrame({name: np.concatenate(parts) if parts else [] for name, parts in columns.items()})
    for name in (PIXELS, ARCSEC):
        if frame[name].isna().all():
            frame = frame.drop(columns=name)
    return frame if filesets else frame.drop(columns=FILES)
