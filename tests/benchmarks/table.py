"""The one table that the benchmarks print."""

from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Line:
    """One figure.

    ratio: To the bare echo, or to the smallest vault. target: What `value` or, where there is one, `ratio` should reach;
    `at_least` turns it round.
    """

    name: str
    value: float
    unit: str
    p99: float | None = None
    ratio: float | None = None
    target: float | None = None
    at_least: bool = False

    @property
    def reached(self) -> bool | None:
        """Says whether the target is reached; None without one."""
        if self.target is None:
            return None
        figure = self.value if self.ratio is None else self.ratio
        return figure >= self.target if self.at_least else figure <= self.target

    def cells(self) -> tuple[str, ...]:
        """Returns the line as the table shows it."""
        mark = {None: "", True: "reached", False: "missed"}[self.reached]
        bound = "" if self.target is None else f"{'>=' if self.at_least else '<='} {self.target:g}"
        return (
            self.name,
            f"{self.value:,.1f}" if self.value < 100 else f"{self.value:,.0f}",
            "" if self.p99 is None else f"{self.p99:,.0f}",
            self.unit,
            "" if self.ratio is None else f"{self.ratio:.2f} x",
            bound,
            mark,
        )


def table(sections: dict[str, list[Line]], missing: dict[str, str]) -> Table:
    """Returns the table; `missing` is what could not be measured, and why."""
    made = Table(title="vaultd beside a bare grpcio echo, and beside what one would use instead", title_justify="left")
    for heading in ("", "p50", "p99", "", "ratio", "to reach", ""):
        made.add_column(heading, justify="left" if not heading else "right", no_wrap=bool(heading))
    for title, lines in sections.items():
        made.add_section()
        made.add_row(f"[bold]{title}")
        for line in lines:
            made.add_row(*line.cells())
    if missing:
        made.add_section()
        made.add_row("[bold]not here")
        for name, why in missing.items():
            made.add_row(f"{name}: {why}")
    return made
