"""The smallest PDF writer that serves: pages of positioned lines in two standard fonts, the same bytes every time."""

from collections.abc import Sequence

from attrs import frozen

PAGE_SIZE = (595, 842)
FONTS = {"F1": "Helvetica", "F2": "Courier"}


@frozen
class Line:
    """One line of text at `x`, `y` (points from the lower left corner)."""

    x: int
    y: int
    text: str
    size: int = 11
    font: str = "F1"


def write_pdf(pages: Sequence[Sequence[Line]]) -> bytes:
    """A PDF with these pages."""
    first_page = 3 + len(FONTS)
    numbers = [first_page + 2 * index for index in range(len(pages))]
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{' '.join(f'{number} 0 R' for number in numbers)}] /Count {len(pages)} >>".encode(),
        *(
            f"<< /Type /Font /Subtype /Type1 /BaseFont /{font} /Encoding /WinAnsiEncoding >>".encode()
            for font in FONTS.values()
        ),
    ]
    for number, lines in zip(numbers, pages, strict=True):
        objects += [_page(number + 1), _stream(lines)]
    return _assembled(objects)


def _page(contents: int) -> bytes:
    fonts = " ".join(f"/{name} {3 + index} 0 R" for index, name in enumerate(FONTS))
    return (
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {PAGE_SIZE[0]} {PAGE_SIZE[1]}] "
        f"/Resources << /Font << {fonts} >> >> /Contents {contents} 0 R >>"
    ).encode()


def _stream(lines: Sequence[Line]) -> bytes:
    drawn = b"\n".join(
        b"BT /%s %d Tf 1 0 0 1 %d %d Tm (%s) Tj ET"
        % (line.font.encode(), line.size, line.x, line.y, _escaped(line.text))
        for line in lines
    )
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn)


def _escaped(text: str) -> bytes:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("cp1252")


def _assembled(objects: Sequence[bytes]) -> bytes:
    body = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return (
        body
        + b"xref\n0 %d\n0000000000 65535 f \n" % size
        + table
        + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(body))
    )
