"""What the tests of figures share: panels to draw on, and what lies on them."""

from contextlib import contextmanager

import matplotlib
import torch

from tests.draws import normal

N = 5


def series(seed, *shape):
    """Positive numbers, other ones for every seed."""
    return normal(seed, *(shape or (N,))).exp()


@contextmanager
def panels(count):
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, count, layout="constrained", squeeze=False)
    yield list(axes[0])
    pyplot.close(figure)


def _float64(values):
    return torch.tensor([float(v) for v in values], dtype=torch.float64)


def _points(line):
    return tuple(map(_float64, line.get_data()))


def drawn(ax):
    """By label, what each line shows: x and y."""
    return {line.get_label(): _points(line) for line in ax.get_lines()}


def _same(points, *expected):
    wanted = map(_float64, expected)
    return all(
        got.shape == want.shape and torch.allclose(got, want, rtol=1e-12)
        for got, want in zip(points, wanted, strict=True)
    )


def shows(ax, label, x, y):
    """Whether the line of this label goes through these points."""
    return _same(drawn(ax)[label], x, y)


def goes_through(ax, x, y, color=None):
    """Whether some line, of this colour if one is asked for, goes through these points."""
    lines = [line for line in ax.get_lines() if color in (None, line.get_color())]
    return any(_same(_points(line), x, y) for line in lines)


def frequencies_of(ax, label):
    """Of the shares of this label: where, how large, and both ends of their intervals."""
    (bars,) = (c for c in ax.containers if c.get_label() == label)
    ends = torch.tensor([s[:, 1].tolist() for s in bars[2][0].get_segments()]).double()
    return *_points(bars[0]), *ends.T


def are_labelled(axes, *named):
    """Whether the labels of each panel, along and up, hold these texts."""
    return all(
        along in ax.get_xlabel() and up in ax.get_ylabel()
        for ax, (along, up) in zip(axes, named, strict=True)
    )
