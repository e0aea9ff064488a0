"""The pictures of docs/concepts.md: ``python docs/pictures.py`` draws them into docs/images."""

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent / "images"
FILLS = {
    "outside": "#eef1f5",
    "ours": "#e3effb",
    "decides": "#fdf1d6",
    "good": "#e2f3e5",
    "bad": "#fbe4e2",
    "waits": "#ffffff",
}
INK, LINE = "#1b2733", "#5b6b7a"
STYLE = 'font-family="system-ui, sans-serif" font-size="13"'
HEAD = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
    f' orient="auto"><path d="M0 0L8 4L0 8z" fill="{LINE}"/></marker></defs>'
)


@dataclass
class Picture:
    """Boxes, arrows and words on white: it is read in light and dark pages alike."""

    title: str
    width: int
    height: int
    parts: list[str] = field(default_factory=list[str])

    def box(self, x: int, y: int, w: int, h: int, name: str, *lines: str, kind: str) -> None:
        """Draw a box with its name and what it is about, centred."""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="7" fill="{FILLS[kind]}" '
            f'stroke="{LINE}"/>'
        )
        first = y + h / 2 + 4.5 - 8.5 * len(lines)
        for number, line in enumerate((name, *lines)):
            bold = ' font-weight="600"' if number == 0 else ""
            self.words(x + w / 2, first + 17 * number, line, f'text-anchor="middle"{bold}')

    def words(self, x: float, y: float, text: str, how: str = "") -> None:
        """Write a line."""
        self.parts.append(f'<text x="{x:g}" y="{y:g}" fill="{INK}" {how}>{escape(text)}</text>')

    def arrow(self, *points: tuple[int, int], text: str = "", at: tuple[int, int] = (0, 0)) -> None:
        """Draw an arrow along the points, and words beside it."""
        way = " ".join(f"{x},{y}" for x, y in points)
        self.parts.append(
            f'<polyline points="{way}" fill="none" stroke="{LINE}" stroke-width="1.5" '
            'marker-end="url(#tip)"/>'
        )
        if text:
            self.words(*at, text, 'font-size="12" font-style="italic"')

    def svg(self) -> str:
        """Return the file."""
        size = f'viewBox="0 0 {self.width} {self.height}" width="{self.width}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" {STYLE}>'
        back = f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>'
        title = f"<title>{escape(self.title)}</title>"
        return "\n".join([head, title, HEAD, back, *self.parts, "</svg>"]) + "\n"


def way() -> Picture:
    """Draw the way from a change in a bucket to a record."""
    drawn = Picture("From a change in a bucket to a record in Chroma", 880, 330)
    for number, (name, line) in enumerate(
        [
            ("Listing", "1 LIST for 1,000 keys"),
            ("Events", "SQS, webhooks, watching"),
            ("Requests", "API, CLI, Dagster UI"),
        ]
    ):
        drawn.box(20, 20 + 70 * number, 190, 54, name, line, kind="outside")
        drawn.arrow((210, 47 + 70 * number), (268, 47 + 70 * number))
    drawn.box(
        270, 20, 190, 194, "Catalog", "what the bucket has,", "what is asked for,",
        "what is indexed,", "who works on it (lease)", kind="decides",
    )  # fmt: skip
    drawn.arrow((460, 60), (518, 60))
    drawn.box(520, 20, 140, 80, "Run", "a batch of keys,", "at most 500", kind="ours")
    drawn.arrow((660, 60), (698, 60))
    drawn.box(700, 20, 160, 80, "Object", "one GET, in a worker", "with limits", kind="outside")
    drawn.arrow((590, 100), (590, 132))
    drawn.box(
        520, 134, 340, 62, "extract, chunk, embed", "vectors that are known come from a cache",
        kind="ours",
    )  # fmt: skip
    drawn.arrow((690, 196), (690, 240))
    drawn.box(520, 242, 340, 62, "Chroma", "new text in, stale records out last", kind="good")
    drawn.arrow((520, 273), (365, 273), (365, 216), text="commit: indexed", at=(375, 266))
    drawn.words(20, 262, "A queue's message is deleted once its")
    drawn.words(20, 280, "meaning is in the catalog, not before.")
    return drawn


def states() -> Picture:
    """Draw the states of an object."""
    drawn = Picture("The states of an object", 880, 300)
    drawn.box(20, 110, 150, 62, "pending", "somebody asked", kind="waits")
    drawn.box(280, 110, 150, 62, "processing", "a batch has it", kind="ours")
    drawn.box(600, 20, 250, 62, "indexed", "its records are what it says", kind="good")
    drawn.box(600, 110, 250, 62, "skipped", "a rule leaves it out, which one", kind="outside")
    drawn.box(600, 200, 250, 62, "failed", "why, and when it is tried again", kind="bad")
    drawn.arrow((170, 141), (278, 141), text="lease", at=(205, 133))
    drawn.arrow((430, 125), (500, 125), (500, 51), (598, 51))
    drawn.arrow((430, 141), (598, 141))
    drawn.arrow((430, 157), (500, 157), (500, 231), (598, 231))
    drawn.arrow((355, 110), (355, 75), (95, 75), (95, 108), text="released", at=(190, 68))
    drawn.arrow((600, 251), (95, 251), (95, 174), text="its time has come", at=(190, 244))
    drawn.words(
        190, 285, "A new version, a new setting or a person makes each of them pending again."
    )
    return drawn


def update() -> Picture:
    """Draw what becomes of the records of a document that changes."""
    drawn = Picture("One document changes: what becomes of its records", 880, 250)
    drawn.words(20, 50, "before", 'font-weight="600"')
    drawn.words(20, 190, "after", 'font-weight="600"')
    chunks = [("A", "ours"), ("B", "ours"), ("C", "ours"), ("D", "ours"), ("E", "ours")]
    for number, (name, kind) in enumerate(chunks):
        drawn.box(90 + 155 * number, 20, 130, 50, f"id-{number}", f"text {name}", kind=kind)
    after = [("A", "ours"), ("B, changed", "decides"), ("D", "good"), ("E", "good")]
    for number, (name, kind) in enumerate(after):
        drawn.box(90 + 155 * number, 160, 130, 50, f"id-{number}", f"text {name}", kind=kind)
        drawn.arrow((155 + 155 * number, 70), (155 + 155 * number, 158))
    notes = ["metadata alone", "embedded, written", "vector from cache", "vector from cache"]
    for number, line in enumerate(notes):
        drawn.words(162 + 155 * number, 118, line, 'font-size="12" font-style="italic"')
    drawn.arrow((775, 70), (775, 130))
    drawn.words(720, 150, "id-4 goes, as the last", 'font-size="12" font-style="italic"')
    drawn.words(
        90,
        238,
        "A reader finds the document at every moment: first what is new, then away with the rest.",
    )
    return drawn


def servers() -> Picture:
    """Draw a team's servers."""
    drawn = Picture("A team's servers", 880, 330)
    drawn.box(20, 30, 130, 62, "People", "browser", kind="outside")
    drawn.box(20, 130, 130, 62, "Programs", "API, agents", kind="outside")
    drawn.box(210, 30, 120, 162, "Proxy", "TLS, sign-in", kind="outside")
    drawn.arrow((150, 61), (208, 61))
    drawn.arrow((150, 161), (208, 161))
    drawn.box(400, 30, 180, 62, "Dagster webserver", "UI, GraphQL", kind="ours")
    drawn.box(400, 130, 180, 62, "API and console", "1 or more", kind="ours")
    drawn.arrow((330, 61), (398, 61))
    drawn.arrow((330, 161), (398, 161))
    drawn.arrow((490, 130), (490, 94), text="launch, reload", at=(498, 116))
    drawn.box(660, 30, 200, 62, "Code server", "sensors and runs", kind="ours")
    drawn.arrow((580, 61), (658, 61))
    drawn.box(660, 130, 200, 62, "Daemon", "exactly 1", kind="ours")
    drawn.arrow((760, 130), (760, 94), text="ticks, launches", at=(768, 116))
    drawn.box(210, 240, 250, 62, "Postgres", "the catalog; Dagster's history", kind="decides")
    drawn.box(520, 240, 340, 62, "Chroma", "private: asks nobody who he is", kind="good")
    drawn.arrow((460, 192), (380, 238))
    drawn.arrow((520, 192), (600, 238))
    drawn.arrow((660, 80), (625, 80), (625, 215), (700, 238))
    return drawn


PICTURES: dict[str, Callable[[], Picture]] = {
    "concept-way": way,
    "concept-states": states,
    "concept-update": update,
    "concept-servers": servers,
}


if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(draw().svg(), "utf-8")
