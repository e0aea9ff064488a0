"""PDF files written by hand, object by object, to be as wrong as wanted."""

import zlib
from collections.abc import Mapping


def build_pdf(objects: Mapping[int, bytes], *, root: int = 1) -> bytes:
    """Return a PDF of numbered objects with a cross-reference table."""
    out = bytearray(b"%PDF-1.7\n")
    offsets: dict[int, int] = {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    size = max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for number in range(1, size):
        entry = (
            b"%010d 00000 n \n" % offsets[number] if number in offsets else b"0000000000 65535 f \n"
        )
        out += entry
    out += b"trailer\n<</Size %d/Root %d 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, root, start)
    return bytes(out)


def stream(data: bytes, *, entries: bytes = b"", packed: bool = False) -> bytes:
    """Return a stream object's body."""
    if packed:
        data = zlib.compress(data, 9)
        entries += b"/Filter/FlateDecode"
    return b"<<%s/Length %d>>\nstream\n%s\nendstream" % (entries, len(data), data)


FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
BOLD = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica-Bold>>"
ITALIC = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica-Oblique>>"


def pages_pdf(contents: list[bytes], *, count: int | None = None) -> bytes:
    """Return a PDF with a page for each content stream; ``count`` is what it claims to have.

    Fonts: ``F1`` ordinary, ``F2`` bold, ``F3`` leaning letters.
    """
    objects: dict[int, bytes] = {1: b"<</Type/Catalog/Pages 2 0 R>>", 3: FONT}
    kids: list[bytes] = []
    for number, content in enumerate(contents):
        page, body = 4 + 2 * number, 5 + 2 * number
        kids.append(b"%d 0 R" % page)
        objects[page] = (
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]"
            b"/Resources<</Font<</F1 3 0 R/F2 %s/F3 %s>>>>/Contents %d 0 R>>" % (BOLD, ITALIC, body)
        )
        objects[body] = content if content.startswith(b"<<") else stream(content)
    objects[2] = b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join(kids), count or len(contents))
    return build_pdf(dict(sorted(objects.items())))


def text_content(*lines: str) -> bytes:
    """Return a content stream that shows lines of ASCII text."""
    shown = b"".join(b"(%s)Tj 0 -14 Td " % line.encode() for line in lines)
    return b"BT /F1 12 Tf 72 700 Td " + shown + b"ET"


def form_loop_pdf() -> bytes:
    """Return a page whose form draws itself twice: 2^n work for a reader that follows."""
    form = stream(
        b"/X Do /X Do",
        entries=b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>",
    )
    return build_pdf(
        {
            1: b"<</Type/Catalog/Pages 2 0 R>>",
            2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Resources<</XObject<</X 5 0 R>>>>"
            b"/Contents 4 0 R>>",
            4: stream(b"/X Do"),
            5: form,
        }
    )


def doubling_forms_pdf(levels: int = 28) -> bytes:
    """Return a page with forms that each draw the next one twice."""
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Resources<</XObject<</X 5 0 R>>>>"
        b"/Contents 4 0 R>>",
        4: stream(b"/X Do"),
    }
    for level in range(levels):
        body = b"/X Do /X Do" if level < levels - 1 else b"BT ET"
        entries = (
            b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]"
            b"/Resources<</XObject<</X %d 0 R>>>>" % (6 + level)
            if level < levels - 1
            else b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]"
        )
        objects[5 + level] = stream(body, entries=entries)
    return build_pdf(objects)


def page_tree_loop_pdf() -> bytes:
    """Return a PDF whose page tree contains itself."""
    return build_pdf(
        {
            1: b"<</Type/Catalog/Pages 2 0 R>>",
            2: b"<</Type/Pages/Kids[3 0 R 3 0 R]/Count 4/Parent 3 0 R>>",
            3: b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 4/Parent 2 0 R>>",
        }
    )


def nested_array_pdf(depth: int = 200_000) -> bytes:
    """Return a PDF with an array in an array in an array."""
    return build_pdf(
        {
            1: b"<</Type/Catalog/Pages 2 0 R/Deep 4 0 R>>",
            2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Deep 4 0 R>>",
            4: b"[" * depth + b"]" * depth,
        }
    )


def flate_bomb_pdf(size: int = 1_500_000_000) -> bytes:
    """Return a page whose content unpacks to ``size`` bytes of spaces."""
    packer = zlib.compressobj(9)
    block = b" " * 10_000_000
    packed = b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()
    body = b"<</Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream" % (len(packed), packed)
    return pages_pdf([body])


def tag_loop_pdf() -> bytes:
    """Return a tagged page whose structure elements are each other's parents and children."""
    element = b"<</Type/StructElem/S/Figure/Alt(loop)/P %d 0 R/Pg 4 0 R/K[8 0 R 7 0 R %d]>>"
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R/StructTreeRoot 6 0 R/MarkInfo<</Marked true>>>>",
        2: b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
        3: FONT,
        4: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/StructParents 0"
        b"/Resources<</Font<</F1 3 0 R>>>>/Contents 5 0 R>>",
        5: stream(b"/P <</MCID 0>> BDC " + text_content("one page") + b" EMC"),
        6: b"<</Type/StructTreeRoot/K 7 0 R/ParentTree 9 0 R>>",
        7: element % (8, 0),
        8: element % (7, 1),
        9: b"<</Nums[0[7 0 R 8 0 R]]>>",
    }
    return build_pdf(objects)
