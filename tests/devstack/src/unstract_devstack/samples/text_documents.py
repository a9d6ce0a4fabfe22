"""The sample files that are not PDFs, and the ones that must fail."""

import zlib

ORDERS = """order,customer,article,quantity,price
1001,Halden Sailing Club,"Rope, 8 mm",40,2.90
1002,Theatre Royal,Lamp head type C,3,12.50
1003,"Mills, Grain & Co.",Sack,200,0.85
"""

SUPPLIERS = """Lieferant;Ort;Umsatz
Müller & Söhne;Köln;12.400,00
Boulangerie Été;Besançon;830,50
"""

PURCHASE_ORDER = """{
  "invoice_number": "PO-5512",
  "date": "2026-05-05",
  "buyer": {"name": "Theatre Royal", "contact": "stage@theatre.example"},
  "lines": [
    {"article": "Gel filter, amber", "quantity": 12, "price": 6.1},
    {"article": "Gel filter, blue", "quantity": 4, "price": 6.1}
  ],
  "total": 97.6
}
"""

READINGS = """[
  {"meter": "north", "date": "2026-06-01", "kwh": 118.4},
  {"meter": "south", "date": "2026-06-01", "kwh": 97.0}
]
"""

RECEIPT = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Receipt 8841</title>
<style>table { border: 1px solid }</style>
<script>document.title = "never shown";</script></head>
<body>
<h1>Greenhouse &amp; Garden</h1>
<p>Invoice No: GG-8841<br>Date: 2026-05-21</p>
<table>
<tr><th>Article</th><th>Price</th></tr>
<tr><td>Tomato seedlings</td><td>7.50</td></tr>
<tr><td>Watering can</td><td>18.00</td></tr>
</table>
<p>Total due: 25.50 EUR</p>
</body></html>
"""

DELIVERY_NOTE = """DELIVERY NOTE

Invoice No: DN-310
Date: 2026-04-18
From: Kestrel Rope Works
To: Halden Sailing Club

2 coils of braided line, left with the harbour master.
"""

MINUTES = """# Minutes of the spring meeting

Date: 2026-03-29

- The new mooring lines are paid for.
- Total due: 0.00 EUR
"""


def _logo() -> bytes:
    """A real picture of 8 by 8 grey points: a type that has no reader."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = (8).to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0))
    points = b"".join(b"\x00" + bytes(range(row * 8, row * 8 + 8)) for row in range(8))
    # Stored, not compressed: the same bytes with every version of zlib.
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(points, 0)) + chunk(b"IEND", b"")
    )


DOCUMENTS: dict[str, bytes] = {
    "orders.csv": ORDERS.encode(),
    "suppliers.csv": SUPPLIERS.encode("latin-1"),
    "purchase-order.json": PURCHASE_ORDER.encode(),
    "readings.json": READINGS.encode(),
    "receipt.html": RECEIPT.encode(),
    "delivery-note.txt": DELIVERY_NOTE.encode(),
    "minutes.md": MINUTES.encode(),
    "empty.txt": b"",
    "logo.png": _logo(),
}
INBOX: dict[str, bytes] = {
    "orders.csv": ORDERS.encode("utf-8-sig"),
    "february/summary.txt": b"Summary February\nDate: 2026-02-28\nTotal due: 41.00 EUR\n",
    "march/summary.txt": b"Summary March\nDate: 2026-03-31\nTotal due: 17.25 EUR\n",
    "march/readings.json": READINGS.encode(),
    "march/notice.html": b"<html><body><p>Date: 2026-03-02</p><p>The crane is closed on Mondays.</p></body></html>\n",
}
