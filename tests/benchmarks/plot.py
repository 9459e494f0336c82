"""The plot of the growth for the README."""

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.growth import Size, draw_values


def draw(sizes: Sequence[Size], path: Path) -> None:
    """Writes the costs over the number of exchanges, both axes logarithmic, as SVG; ImportError without matplotlib."""
    import matplotlib as mpl

    mpl.use("svg")
    # Letters as text, not as paths, and the same bytes for the same figures: a file that one can keep in a repository.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "vaultd"})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.6))
    figure.patch.set_facecolor("white")
    for label, values in draw_values(sizes).items():
        axes.plot([size.exchanges for size in sizes], values, marker="o", label=label)
    axes.set(xscale="log", yscale="log", xlabel="exchanges in the vault", ylabel="milliseconds (median)")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
