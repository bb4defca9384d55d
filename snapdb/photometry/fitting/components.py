"""Normal equations that fall into components, solved a size at a time, with errors."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from snapdb.types import BoolArray, FloatArray, IntArray

LARGEST_DENSE = 3000
"""Parameters of a component up to which its matrix is inverted as a whole."""
_DEGENERATE = 1e9
"""Variance over that without neighbours, above which a parameter counts as not determined."""
_COLUMNS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """Parameters with their errors, shape (K,); NaN where the pixels do not determine one."""

    value: FloatArray
    """The parameters."""
    variance: FloatArray
    """Of the parameters, from the pixels' variance."""
    shift: FloatArray
    """What the parameters move by when the second right-hand side is added to the pixels."""


def solve_components(normal: Any, middle: Any, right: FloatArray, component: IntArray) -> Solution:
    """Solve ``normal @ p = right`` and give the variance of p.

    Parameters
    ----------
    normal : scipy sparse array
        ``A^T W A``, shape (K, K); joins no parameters of different components.
    middle : scipy sparse array
        ``A^T W V W A``: the variance of p is the diagonal of ``normal^-1 middle normal^-1``.
    right : array
        Shape (K, 2): for the parameters, and for their shift.
    component : array of int
        Which component each parameter is of, from 0, shape (K,).

    Returns
    -------
    Solution
        For all parameters.
    """
    value, variance, shift = (np.full(len(right), np.nan) for _ in range(3))
    diagonal = normal.diagonal()
    known = diagonal > 0
    scale = np.where(known, 1.0 / np.sqrt(np.where(known, diagonal, 1.0)), 0.0)
    sizes = np.bincount(component, minlength=1)
    order = np.argsort(component, kind="stable")
    starts = np.concatenate(([0], np.cumsum(sizes)))
    rank = np.empty(len(right), dtype=np.int64)
    rank[order] = np.arange(len(right)) - starts[component[order]]
    for size in np.unique(sizes[sizes > 0]).tolist():
        which = np.flatnonzero(sizes == size)
        members = order[starts[which][:, None] + np.arange(size)]
        if size > LARGEST_DENSE:
            for one in members:
                value[one], variance[one], shift[one] = _solve_sparse(normal, middle, right, one)
            continue
        slot = np.full(len(sizes), -1)
        slot[which] = np.arange(len(which))
        left, center = (_to_blocks(m, slot[component], rank, len(which), size) for m in (normal, middle))
        answer = _solve_dense(left, center, right[members], scale[members])
        value[members], variance[members], shift[members] = answer
    return Solution(value=value, variance=variance, shift=shift)


def _to_blocks(matrix: Any, slot: IntArray, rank: IntArray, number: int, size: int) -> FloatArray:
    """Give the components of one size as dense matrices."""
    entries = matrix.tocoo()
    here = slot[entries.row] >= 0
    rows, columns = entries.row[here], entries.col[here]
    blocks = np.zeros((number, size, size))
    blocks[slot[rows], rank[rows], rank[columns]] = entries.data[here]
    return blocks


def _solve_dense(
    normal: FloatArray, middle: FloatArray, right: FloatArray, scale: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Solve many systems of one size, scaled to a diagonal of ones."""
    scaled = normal * scale[:, :, None] * scale[:, None, :]
    size = scaled.shape[1]
    missing = scale == 0
    scaled[:, np.arange(size), np.arange(size)] = 1.0
    try:
        inverse = np.linalg.inv(scaled)
        spread = np.einsum("nii->ni", inverse)
        doubtful = ~((spread > 0) & (spread < _DEGENERATE)).all(axis=1)
    except np.linalg.LinAlgError:
        inverse, doubtful = np.empty_like(scaled), np.ones(len(scaled), dtype=bool)
    if doubtful.any():
        inverse[doubtful], lost = _pseudo_inverse(scaled[doubtful])
        missing[doubtful] |= lost
    inverse = inverse * scale[:, :, None] * scale[:, None, :]
    both = inverse @ right
    variance = np.einsum("nij,nij->ni", inverse @ middle, inverse)
    return tuple(np.where(missing, np.nan, v) for v in (both[..., 0], variance, both[..., 1]))  # type: ignore[return-value]


def _pseudo_inverse(scaled: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Invert what can be inverted, and say which parameters cannot be told apart."""
    strength, vectors = np.linalg.eigh(scaled)
    kept = strength > 1.0 / _DEGENERATE
    factor = np.where(kept, 1.0 / np.where(kept, strength, 1.0), 0.0)
    inverse = (vectors * factor[:, None, :]) @ vectors.transpose(0, 2, 1)
    lost = np.einsum("nij,nj->ni", vectors**2, (~kept).astype(np.float64)) > 1e-6
    return inverse, lost


def _solve_sparse(
    normal: Any, middle: Any, right: FloatArray, one: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Solve one large component; its inverse is made some columns at a time, and never kept."""
    from scipy.sparse.linalg import splu

    unknown = np.full(len(one), np.nan)
    try:
        factors = splu(normal[one][:, one].tocsc())
    except RuntimeError:  # exactly singular
        return unknown, unknown, unknown
    center = middle[one][:, one].tocsr()
    answer, variance = factors.solve(right[one]), np.empty(len(one))
    for start in range(0, len(one), _COLUMNS):
        stop = min(start + _COLUMNS, len(one))
        unit = np.zeros((len(one), stop - start))
        unit[np.arange(start, stop), np.arange(stop - start)] = 1.0
        column = factors.solve(unit)
        variance[start:stop] = np.einsum("ij,ij->j", column, center @ column)
    good = variance > 0
    return tuple(np.where(good, v, np.nan) for v in (answer[:, 0], variance, answer[:, 1]))  # type: ignore[return-value]
