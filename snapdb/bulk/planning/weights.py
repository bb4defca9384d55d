"""Which weight each channel of a source has in each output channel."""

from collections.abc import Sequence

import numpy as np

from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.planning.sources import Channel
from snapdb.types import FloatArray


def channel_weights(recipe: Recipe, channels: Sequence[Channel]) -> FloatArray:
    """Give the weights of a source's channels, shape (channels, outputs).

    Parameters
    ----------
    recipe : Recipe
        With the weights by name.
    channels : sequence of Channel
        In the order of the source's files.

    Raises
    ------
    UsageError
        If names and channels do not go together.
    """
    from snapdb.bulk.shape.mix import match_channel_weights

    return np.asarray(match_channel_weights(recipe.weights, [c.label for c in channels]), np.float64)
