"""One scale and one shift per channel, as the formula says."""

from convcore.kernels.arguments import rows_named


def forward(geometry, x, scale, shift, y, n_threads):
    """Write y (N, C, S) = x · scale[c] + shift[c]."""
    y[...] = x * scale[:, None] + shift[:, None]


def gather(geometry, x, index, scale, shift, y, n_threads):
    """Write y[n] (C, S) = x[index[n]] · scale[c] + shift[c]."""
    y[...] = rows_named("channel_scale", x, index) * scale[:, None] + shift[:, None]
