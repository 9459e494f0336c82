"""The plot of the growth for the README."""

from pathlib import Path

from tests.benchmarks.vault import Size


def draw(sizes: list[Size], path: Path) -> None:
    """Writes the costs over the number of exchanges, both axes logarithmic, as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "vaultd"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.6))
    counts = [size.exchanges for size in sizes]
    for label, values in (
        ("masked get", [size.get_us / 1e3 for size in sizes]),
        ("list of 100", [size.list_us / 1e3 for size in sizes]),
        ("reveal, audited", [size.reveal_us / 1e3 for size in sizes]),
        ("write", [size.write_us / 1e3 for size in sizes]),
        ("unlock beyond Argon2id", [max(size.unlock_beyond_ms, 0.1) for size in sizes]),
    ):
        axes.plot(counts, values, marker="o", label=label)
    axes.set(xscale="log", yscale="log", xlabel="exchanges in the vault", ylabel="milliseconds (median)")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
