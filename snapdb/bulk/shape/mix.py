"""Channels of stamps, mixed into the channels of the output."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from snapdb.bulk.shape.weights import Floats
from snapdb.errors import ShapeError, UsageError
from snapdb.types import PixelArray

_SIGN = re.compile(r"[^a-z0-9]+")


def mix(batch: PixelArray, weights: ArrayLike, out: Floats | None = None) -> Floats:
    """Add channels up with weights.

    Parameters
    ----------
    batch : array, shape (N, H, W, C)
        Stamps.
    weights : array, shape (C, O)
        Share of each channel in each channel of the output, not normalised. A channel of
        weight zero takes no part: its missing pixels spoil nothing.
    out : array of float32, shape (N, H, W, O), optional
        Where to write.

    Returns
    -------
    array of float32, shape (N, H, W, O)
        The batch itself where the weights are the unit matrix and it is float32 already.

    Raises
    ------
    ShapeError
        If the shapes do not fit together.
    UsageError
        If a weight is not finite.
    """
    matrix = check_weights(weights)
    if batch.ndim != 4 or batch.shape[3] != len(matrix):
        msg = f"stamps of shape {batch.shape} with weights of {len(matrix)} channels: expected (N, H, W, C)"
        raise ShapeError(msg, shape=batch.shape, weights=matrix.shape)
    shape = (*batch.shape[:3], matrix.shape[1])
    if out is None and is_identity(matrix):
        return np.asarray(batch, dtype=np.float32)
    result = np.empty(shape, dtype=np.float32) if out is None else out
    if result.shape != shape:
        msg = f"a place of shape {result.shape} for stamps of shape {shape}: expected the same"
        raise ShapeError(msg, shape=result.shape, expected=shape)
    mix_planes(np.moveaxis(batch, 3, 0), matrix, np.moveaxis(result, 3, 0))
    return result


def mix_planes(planes: PixelArray | Sequence[PixelArray], weights: Floats, out: Floats) -> None:
    """Add planes up with weights, into planes.

    Parameters
    ----------
    planes : sequence of C arrays
        Of one shape.
    weights : array of float32, shape (C, O)
        As :func:`check_weights` gives them.
    out : array of float32, shape (O, ...)
        Where to write; no memory of the planes.
    """
    for target, column in zip(out, weights.T, strict=True):
        used = np.flatnonzero(column)
        if used.size == 0:
            target[...] = 0.0
            continue
        np.multiply(planes[used[0]], column[used[0]], out=target)
        for channel in used[1:]:
            np.add(target, planes[channel] * column[channel], out=target)


def is_identity(weights: Floats) -> bool:
    """Tell whether mixing would change nothing.

    Parameters
    ----------
    weights : array, shape (C, O)
        Of channels by channels of the output.
    """
    return weights.shape[0] == weights.shape[1] and bool(np.array_equal(weights, np.eye(len(weights))))


def check_weights(weights: ArrayLike) -> Floats:
    """Take weights as a matrix.

    Parameters
    ----------
    weights : array, shape (C, O)
        Of channels by channels of the output.

    Raises
    ------
    ShapeError
        If it is no matrix, or empty.
    UsageError
        If a weight is not finite.
    """
    try:
        matrix = np.asarray(weights, dtype=np.float32)
    except ValueError as err:
        msg = "channel weights: expected as many numbers for each channel, one for each channel of the output"
        raise ShapeError(msg) from err
    if matrix.ndim != 2 or 0 in matrix.shape:
        msg = f"channel weights of shape {matrix.shape}: expected (channels, channels of the output)"
        raise ShapeError(msg, shape=matrix.shape)
    if not np.isfinite(matrix).all():
        msg = f"channel weights {matrix.tolist()}: expected finite numbers"
        raise UsageError(msg, weights=matrix.tolist())
    return matrix


def match_channel_weights(channel_weights: Mapping[str, Sequence[float]], labels: Sequence[str]) -> Floats:
    """Give the weights of the channels that a source has, in the order in which it has them.

    A name belongs to a label that is the same, or else to one that holds it between signs
    or ends: ``NIR_H`` belongs to ``tile_1_NIR-H``, not to ``tile_1_NIR_HE``. Case does not
    count, and all signs are one. Where names and labels stand in the same order, or no name
    is found in any label, the first name goes with the first label, and so on.

    Parameters
    ----------
    channel_weights : mapping of str to sequence of float
        Name -> weight in each channel of the output.
    labels : sequence of str
        Channels of the source: the stem of each file, and its extension.

    Returns
    -------
    array of float32, shape (len(labels), O)
        For :func:`mix`.

    Raises
    ------
    UsageError
        If there are not as many names as labels, or it is not clear which belongs to which,
        or a weight is not finite.
    ShapeError
        If not all names have as many weights.
    """
    names = list(channel_weights)
    if len(names) != len(labels) or not names:
        msg = (
            f"channel_weights names {len(names)} channels ({', '.join(names)}), and the source has "
            f"{len(labels)} ({', '.join(labels)}): expected one name for each"
        )
        raise UsageError(msg, names=names, labels=list(labels))
    matrix = check_weights([list(channel_weights[name]) for name in names])
    found = [_find_labels(name, labels) for name in names]
    if all(not places or place in places for place, places in enumerate(found)):
        return matrix
    chosen = [places[0] for places in found if len(places) == 1]
    if len(set(chosen)) != len(names):
        each = "; ".join(
            f"{name}: {', '.join(labels[place] for place in places) or 'none'}"
            for name, places in zip(names, found, strict=True)
        )
        msg = (
            f"channel_weights: which channel a name means is not clear ({each}); name each by its full label"
        )
        raise UsageError(msg, names=names, labels=list(labels))
    ordered = np.empty_like(matrix)
    ordered[chosen] = matrix
    return ordered


def _find_labels(name: str, labels: Sequence[str]) -> list[int]:
    """Find the labels that a name may mean: those that equal it, else those that hold it."""
    wanted = _plain(name)
    plain = [_plain(label) for label in labels]
    same = [place for place, label in enumerate(plain) if label == wanted]
    return same or [place for place, label in enumerate(plain) if wanted.strip("_") and wanted in label]


def _plain(text: str) -> str:
    """Write a name in lower case, between signs, with one kind of sign."""
    return f"_{_SIGN.sub('_', text.lower()).strip('_')}_"
