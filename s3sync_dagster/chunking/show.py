"""Draws the cuts, for people who want to see and trust them: in a terminal or as a page."""

import html

from s3sync_dagster.model.document import Chunk, Document

_COLOURS = (36, 33, 35, 32, 34)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem;
  color: #1c2430; background: #fff; }}
h1 {{ font-size: 1.3rem; }} .facts {{ color: #56606e; }}
section {{ border-left: 4px solid var(--c); margin: 0 0 .6rem; background: #f6f8fa; }}
header {{ padding: .25rem .8rem; font-size: .85rem; color: #56606e; }}
header b {{ color: #1c2430; }}
pre {{ margin: 0; padding: 0 .8rem .5rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13px/1.45 ui-monospace, monospace; }}
nav {{ display: flex; height: 1.4rem; margin: 0 0 1.2rem; }}
nav a {{ flex: var(--n) 0 0; background: var(--c); }}
nav a:hover, nav a:focus {{ outline: 2px solid currentColor; outline-offset: 1px; }}
.repeated {{ opacity: .6; }} .warn {{ color: #a33; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #14181d; color: #dde3ea; }}
  section {{ background: #1b2128; }} header b {{ color: #dde3ea; }} }}
</style></head><body><h1>{title}</h1><p class="facts">{facts}</p>
<nav aria-label="Chunks, each as wide as its bytes">{strip}</nav>
{sections}
</body></html>
"""
_HTML_COLOURS = ("#2a8fa8", "#b98a1d", "#9a4fb0", "#3d9050", "#3c66c4")


def render_terminal(document: Document, chunks: list[Chunk]) -> str:
    """Return the document's text with a coloured rule before each chunk (ANSI escapes)."""
    parts: list[str] = []
    for chunk in chunks:
        colour = _COLOURS[chunk.index % len(_COLOURS)]
        parts.append(f"\x1b[{colour};1m── {describe(chunk)}\x1b[0m")
        text = _visible(chunk.text)
        parts.extend(f"\x1b[{colour}m│\x1b[0m {line}" for line in text.split("\n"))
    parts.append(f"\x1b[1m{summary(document, chunks)}\x1b[0m")
    return "\n".join(parts) + "\n"


def render_html(document: Document, chunks: list[Chunk], title: str) -> str:
    """Return a page of its own that shows each chunk with its place, size and reasons."""
    sections: list[str] = []
    strip: list[str] = []
    for chunk in chunks:
        colour = _HTML_COLOURS[chunk.index % len(_HTML_COLOURS)]
        warn = ' class="warn"' if chunk.fallback or chunk.truncated_tokens else ""
        strip.append(
            f'<a href="#chunk-{chunk.index}" style="--c:{colour};--n:'
            f'{chunk.end_byte - chunk.start_byte}" title="{html.escape(describe(chunk))}"></a>'
        )
        context = ""
        if chunk.context:
            context = f'<pre class="repeated">{html.escape(_visible(chunk.context))}</pre>'
        sections.append(
            f'<section id="chunk-{chunk.index}" style="--c:{colour}"><header{warn}>'
            f"{html.escape(describe(chunk))}</header>{context}"
            f"<pre>{html.escape(_visible(chunk.text))}</pre></section>"
        )
    return _PAGE.format(
        title=html.escape(title),
        facts=html.escape(summary(document, chunks)),
        strip="".join(strip),
        sections="\n".join(sections),
    )


def describe(chunk: Chunk) -> str:
    """Return one line: number, place, size, what encloses it and what was special."""
    size = len(chunk.text.encode("utf-8", "replace"))
    facts = [
        f"{chunk.index}",
        f"lines {chunk.start_line}:{chunk.start_col}-{chunk.end_line}:{chunk.end_col}",
        f"{size:,} bytes",
        chunk.strategy if chunk.language is None else f"{chunk.strategy} {chunk.language}",
    ]
    if chunk.symbol:
        facts.append(chunk.symbol)
    if chunk.heading_path:
        facts.append(chunk.heading_path)
    if chunk.page:
        facts.append(f"page {chunk.page}")
    if chunk.repeated_header:
        facts.append("header repeated")
    if chunk.fallback:
        facts.append(f"fallback: {chunk.fallback}")
    if chunk.truncated_tokens:
        facts.append(f"the model does not read the last {chunk.truncated_tokens} tokens")
    return " · ".join(facts)


def summary(document: Document, chunks: list[Chunk]) -> str:
    """Return one line about the whole document."""
    if not chunks:
        return "no chunks: the document holds no text"
    sizes = sorted(chunk.end_byte - chunk.start_byte for chunk in chunks)
    truncated = sum(1 for chunk in chunks if chunk.truncated_tokens)
    text = (
        f"{len(chunks)} chunks of {sum(sizes):,} bytes ({document.format}); "
        f"smallest {sizes[0]:,}, median {sizes[len(sizes) // 2]:,}, largest {sizes[-1]:,} bytes"
    )
    if truncated:
        text += f"; {truncated} longer than the model reads"
    return text


def _visible(text: str) -> str:
    """Return text in which control characters cannot act on the terminal or the page."""
    return "".join(
        char if char in "\n\t" or (char.isprintable() and char != "\x7f") else _picture(char)
        for char in text
    )


def _picture(char: str) -> str:
    code = ord(char)
    if code < 32:
        return chr(0x2400 + code)
    return char if code > 0x9F and char.isspace() else f"\\u{code:04x}"
