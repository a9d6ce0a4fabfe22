"""The sample PDFs: invoices and statements of invented companies, each in a layout of its own."""

from collections.abc import Sequence

from unstract_devstack.samples.pdf_writer import Line, write_pdf


def kestrel_invoice() -> bytes:
    """One page, labels left and values on the same line."""
    head = ["Kestrel Rope Works", "12 Quay Street, Port Ellery", "", "INVOICE", ""]
    facts = ["Invoice No: KRW-2041", "Date: 2026-03-14", "Customer: Halden Sailing Club", ""]
    lines = ["40 m braided line, 8 mm      2.90      116.00", "6 shackles, steel            4.25       25.50", ""]
    total = ["Subtotal: 141.50 EUR", "VAT 19 %: 26.89 EUR", "Total due: 168.39 EUR", "", "Payable within 14 days."]
    return write_pdf([_down(head + facts + lines + total)])


def lumen_invoice() -> bytes:
    """Two pages, the items in a fixed-width table, the total on the last page."""
    items = [
        f"{number:>3}  Lamp head type {chr(64 + number)}      {number:>3} x  12.50   {number * 12.5:>9.2f}"
        for number in range(1, 9)
    ]
    first = [
        Line(60, 790, "Lumen & Daughters Ltd.", size=18),
        Line(380, 790, "Invoice No: LD/88/1207"),
        Line(380, 774, "Date: 2026-04-02"),
        Line(60, 740, "Bill to: Theatre Royal (stage department)"),
        *(Line(60, 700 - 16 * index, text, font="F2") for index, text in enumerate(items)),
        Line(500, 60, "page 1 of 2", size=8),
    ]
    second = [
        Line(60, 790, "Lumen & Daughters Ltd. - continued", size=14),
        Line(60, 740, "Delivery by own van, no charge.", font="F2"),
        Line(300, 700, "Total due: 450.00 GBP", size=14),
        Line(500, 60, "page 2 of 2", size=8),
    ]
    return write_pdf([first, second])


def harbour_statement() -> bytes:
    """Three pages of a bank statement, no invoice number at all."""
    pages = []
    for page, month in enumerate(("January", "February", "March"), start=1):
        bookings = [
            f"{day:02d}.{page:02d}.2026  Standing order {day:>3}   {-10 * day - page:>9.2f}" for day in (3, 11, 19, 27)
        ]
        pages.append(
            [
                Line(60, 800, "Harbour Savings Bank", size=16),
                Line(60, 780, f"Account statement {month} 2026"),
                *(Line(80, 740 - 18 * index, text, font="F2") for index, text in enumerate(bookings)),
            ]
        )
    pages[-1].append(Line(60, 620, "Closing balance: 3,904.10 EUR", size=13))
    return write_pdf(pages)


def cafe_receipt() -> bytes:
    """One page, centred, accents and currency signs."""
    texts = ["Café Zoë", "Receipt 559", "2 crème brûlée (small)   9,00 €", "Total due: 9.00 EUR", "Merci !"]
    return write_pdf([_down(texts, left=220)])


def workshop_invoice() -> bytes:
    """One page, the values set under their labels in columns."""
    return write_pdf(
        [
            [
                Line(60, 780, "MARLOW CYCLE WORKSHOP", size=20, font="F2"),
                Line(60, 730, "Invoice No: MCW-7331"),
                Line(250, 730, "Date: 2026-02-27"),
                Line(60, 690, "Labour"),
                Line(250, 690, "3.5 h at 48.00"),
                Line(60, 670, "Parts \\ consumables"),
                Line(250, 670, "61.20"),
                Line(60, 620, "Total due: 229.20 EUR", size=15),
            ]
        ]
    )


def _down(texts: Sequence[str], *, left: int = 72) -> list[Line]:
    return [Line(left, 780 - 18 * index, text) for index, text in enumerate(texts) if text]


PDF_DOCUMENTS = {
    "invoice-kestrel.pdf": kestrel_invoice,
    "invoice-lumen.pdf": lumen_invoice,
    "statement-harbour.pdf": harbour_statement,
}
PDF_INBOX = {"receipt-cafe.pdf": cafe_receipt, "february/invoice-marlow.pdf": workshop_invoice}
