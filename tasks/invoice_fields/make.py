"""Writes invoices and receipts in four languages and five layouts, each with its fields; odd.jsonl adds odd ones."""

from __future__ import annotations

import argparse
import json
import random
import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WORDS: dict[str, dict[str, Any]] = json.loads((HERE / "words.json").read_text(encoding="utf-8"))
LAYOUTS = ("letter", "receipt", "mail", "table", "scan")
EACH, SEED = 10, 0
# What a scanner makes of letters, now and then.
MISREAD = (
    *(("rn", "m"), ("m", "rn"), ("l", "1"), ("i", "l"), ("o", "0"), ("e", "c"), ("u", "ii"), ("S", "5"), ("B", "8")),
    *(("é", "e"), ("ä", "a"), ("ü", "u"), ("à", "a"), ("cl", "d"), ("h", "b"), ("t", "f"), ("n", "ri")),
)
STRAY = (" .", " ~", " |", "'", " _", " ,")
Draw = random.Random


@dataclass(frozen=True)
class Bill:
    """What an invoice says; amounts in cents, rates in hundredths of a percent, a rate of 0 for no tax."""

    words: dict[str, Any]
    country: dict[str, Any]
    seller: str
    street: str
    city: str
    number: str
    issued: date
    due: date
    lines: tuple[tuple[str, int, int], ...]
    off: int
    rate: int
    # Whether the prices of the lines hold the tax.
    gross: bool

    @property
    def sum(self) -> int:
        """The lines together."""
        return sum(count * price for _, count, price in self.lines)

    @property
    def discount(self) -> int:
        """What is taken off."""
        return divided(self.sum * self.off, 10_000)

    @property
    def vat(self) -> int:
        """The tax."""
        rest = self.sum - self.discount
        return rest - divided(rest * 10_000, 10_000 + self.rate) if self.gross else divided(rest * self.rate, 10_000)

    @property
    def total(self) -> int:
        """What is to be paid."""
        return self.sum - self.discount + (0 if self.gross else self.vat)

    def day(self, day: date, form: str) -> str:
        """Return a day as people of the country write it."""
        month = self.words["months"][day.month - 1]
        return form.format(day=day.day, month=month, number=day.month, year=day.year, short=f"{day.year % 100:02}")

    def plain(self, cents: int) -> str:
        """Return an amount without its currency."""
        whole = f"{abs(cents) // 100:,}".replace(",", self.country["thousands"])
        return f"{'-' if cents < 0 else ''}{whole}{self.country['point']}{abs(cents) % 100:02}"

    def money(self, cents: int) -> str:
        """Return an amount with its currency."""
        return str(self.country["amount"]).format(sign=self.country["sign"], number=self.plain(cents))

    def percent(self, rate: int) -> str:
        """Return a rate as the language writes it."""
        return str(self.words["percent"]).format(f"{rate / 100:g}".replace(".", self.country["point"]))

    @property
    def fields(self) -> dict[str, Any]:
        """What is to be read."""
        return {
            "number": self.number,
            "date": self.issued.isoformat(),
            "seller": self.seller,
            "total": self.total / 100,
            "currency": self.country["currency"],
            "vat": self.vat / 100,
        }


def divided(amount: int, by: int) -> int:
    """Return a quotient, rounded half up."""
    return (2 * amount + by) // (2 * by)


def bill_of(draw: Draw, language: str, layout: str) -> Bill:
    """Return an invoice of invented content."""
    words = WORDS[language]
    country = draw.choices(words["countries"], [country["weight"] for country in words["countries"]])[0]
    trade, slip = draw.choice(words["trades"]), layout == "receipt"
    name = draw.choice(words["name"]).format(name=draw.choice(words["names"]), kind=draw.choice(trade["kinds"]))
    issued = date(2024, 1, 2) + timedelta(days=draw.randrange(720))
    running = draw.randint(3, 9800)
    number = f"{running:04}" if slip else draw.choice(words["numbers"])
    goods = draw.sample(trade["goods"], draw.choice((1, 2, 2, 3) if layout == "mail" else (1, 2, 3, 3, 4, 5)))
    counts = (1, 1, 1, 2, 3) if slip else (1, 1, 2, 3, 4, 6, 12)
    rates = country["food" if trade.get("food") else "rates"]
    american = country["currency"] == "USD"
    return Bill(
        words=words,
        country=country,
        seller=f"{name} {draw.choice(words['legal'])}".strip(),
        street=draw.choice(words["streets"]),
        city=draw.choice(country["cities"]),
        number=number.format(year=issued.year, short=f"{issued.year % 100:02}", n=running),
        issued=issued,
        due=issued + timedelta(days=draw.choice((10, 14, 21, 30))),
        lines=tuple((text, draw.choice(counts), price) for text, price in goods),
        off=0 if layout == "mail" or draw.random() < 0.7 else draw.choice((200, 300, 500, 1000)),
        rate=0 if draw.random() < 0.1 else draw.choice(rates),
        gross=not american and (slip or layout == "mail" or draw.random() < 0.15),
    )


def sums(draw: Draw, bill: Bill) -> list[tuple[str, str]]:
    """Return what stands below the lines: pairs of a label and an amount, or a sentence and ""."""
    words, rate, rows = bill.words, bill.percent(bill.rate), list[tuple[str, str]]()
    tax = bill.country["tax"]
    if bill.off or (bill.rate and not bill.gross):
        rows.append((draw.choice(words["net"]) if not bill.gross else words["heads"][3], bill.plain(bill.sum)))
    if bill.off:
        rows.append((draw.choice(words["discount"]).format(rate=bill.percent(bill.off)), bill.plain(-bill.discount)))
    if bill.rate and not bill.gross:
        rows.append((draw.choice(words["tax"]).format(tax=tax, rate=rate), bill.plain(bill.vat)))
    rows.append((draw.choice(words["total"]), bill.money(bill.total)))
    if not bill.rate:
        rows.append((draw.choice(words["untaxed"]).format(tax=tax), ""))
    elif bill.gross:
        within = draw.choice(words["within"])
        rows.append((within.format(tax=tax, rate=rate, vat=bill.money(bill.vat)), ""))
    return rows


def about(draw: Draw, bill: Bill) -> list[tuple[str, str]]:
    """Return the pairs at an invoice's head: its number and day, and others that are not asked for."""
    words, form = bill.words, draw.choice(bill.country["dates"])
    rows = [
        (draw.choice(words["number"]), bill.number),
        (draw.choice(words["date"]), bill.day(bill.issued, form)),
        (draw.choice(words["due"]), bill.day(bill.due, form)),
    ]
    if draw.random() < 0.5:
        rows.append((draw.choice(words["order"]), f"{draw.randint(40, 99)}-{draw.randint(1000, 9999)}"))
    if draw.random() < 0.5:
        rows.append((draw.choice(words["customer"]), str(draw.randint(10_000, 79_999))))
    if draw.random() < 0.4:
        draw.shuffle(rows)
    return rows


def letter(draw: Draw, bill: Bill) -> str:
    """Return an invoice on paper."""
    words, wide = bill.words, draw.choice((34, 40))
    sender = [bill.seller, f"{bill.street}, {bill.city}"]
    buyer = [words["to"], draw.choice(words["buyers"])]
    head, gap = [draw.choice(words["invoice"])], draw.choice((" ", "  ", "\t"))
    facts = [f"{label}{gap}{value}" for label, value in about(draw, bill)]
    rows = [
        f"{count} x {text:{wide - 4}}{bill.plain(price):>10}{bill.plain(count * price):>12}"
        for text, count, price in bill.lines
    ]
    below = [f"{label:{wide}}{value:>22}" if value else label for label, value in sums(draw, bill)]
    blocks = [sender, buyer, [*head, *facts], rows, below, [draw.choice(words["thanks"])]]
    if draw.random() < 0.35:  # the sender at the foot
        blocks = [*blocks[1:], sender]
    return "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks)


def receipt(draw: Draw, bill: Bill) -> str:
    """Return a slip from a till."""
    words, wide = bill.words, draw.choice((20, 24))
    day = bill.day(bill.issued, draw.choice(bill.country["dates"]))
    clock = f"{draw.randint(8, 19):02}:{draw.randint(0, 59):02}"
    rows = [
        f"{count} {text[:wide]:{wide}}{bill.plain(count * price):>10}"
        if count > 1
        else f"{text[:wide]:{wide + 2}}{bill.plain(price):>10}"
        for text, count, price in bill.lines
    ]
    below = [f"{label:{wide}}{value:>12}" if value else label for label, value in sums(draw, bill)]
    facts = [draw.choice(words["slips"]).format(bill.number), f"{day}  {clock}"]
    if draw.random() < 0.5:
        facts = [f"{day} {clock}  {facts[0]}"]
    paid = draw.choice(words["paid"]).format(four=draw.randint(1000, 9999))
    top = [bill.seller.upper() if draw.random() < 0.4 else bill.seller, bill.street, bill.city]
    middle = [*rows, "-" * (wide + 12), *below, paid]
    return "\n".join([*top, *facts, *middle] if draw.random() < 0.6 else [*top, *middle, *facts])


def mail(draw: Draw, bill: Bill) -> str:
    """Return a mail that says what an invoice comes to."""
    words, form = bill.words, draw.choice(bill.country["dates"])
    vat = {"tax": bill.country["tax"], "rate": bill.percent(bill.rate), "vat": bill.money(bill.vat)}
    text = str(draw.choice(words["mails"])).format(
        items=", ".join(f"{count} x {text}" for text, count, _ in bill.lines),
        total=bill.money(bill.total),
        tail=draw.choice(words["tail" if bill.rate else "free"]).format(**vat),
        number=bill.number,
        date=bill.day(bill.issued, form),
        due=bill.day(bill.due, form),
        seller=bill.seller,
        street=bill.street,
        city=bill.city,
    )
    return text.replace("..", ".")  # after a seller such as "Cicli L'Airone S.r.l."


def table(draw: Draw, bill: Bill) -> str:
    """Return an invoice as it comes out of a spreadsheet."""
    words, between = bill.words, draw.choice((" | ", ";", "\t"))
    facts = about(draw, bill)
    rows = [(text, str(count), bill.plain(price), bill.plain(count * price)) for text, count, price in bill.lines]
    below = [(label, "", "", value) if value else (label,) for label, value in sums(draw, bill)]
    top = [(draw.choice(words["invoice"]), bill.seller), (bill.street, bill.city)]
    head = facts if draw.random() < 0.5 else [tuple(part for fact in facts for part in fact)]
    return "\n".join(between.join(row) for row in [*top, *head, tuple(words["heads"]), *rows, *below])


def scan(draw: Draw, bill: Bill) -> str:
    """Return an invoice on paper as a scanner reads it: letters are mistaken, but nothing that is asked for."""
    text = letter(draw, bill)
    kept = (bill.seller, bill.number, bill.city, bill.country["sign"], bill.country["currency"], *bill.words["months"])
    pattern = "|".join(re.escape(word) for word in sorted(kept, key=len, reverse=True))
    pieces = re.split(rf"({pattern}|\S*\d\S*|\s+)", text)
    noisy = "".join(
        piece if at % 2 or len(piece) < 3 or draw.random() > 0.3 else misread(draw, piece)
        for at, piece in enumerate(pieces)
    )
    lines = [re.sub(r" {3,}", lambda _: " " * draw.randint(1, 4), line) for line in noisy.splitlines()]
    return "\n".join(line + draw.choice(STRAY) if line and draw.random() < 0.12 else line for line in lines)


def misread(draw: Draw, word: str) -> str:
    """Return a word with one letter mistaken, where there is one that is easily mistaken."""
    likely = [(right, wrong) for right, wrong in MISREAD if right in word]
    return word.replace(*draw.choice(likely), 1) if likely else word


def made(each: int, seed: int) -> list[dict[str, Any]]:
    """Return so many documents of each language and layout, and the odd ones; no text is there twice."""
    draw, seen, rows = random.Random(seed), set[str](), list[dict[str, Any]]()  # noqa: S311 - nothing secret
    render = {"letter": letter, "receipt": receipt, "mail": mail, "table": table, "scan": scan}
    kinds = [(language, layout) for language in WORDS for layout in LAYOUTS]
    for language, layout in kinds * each:
        text = ""
        while not text or text in seen:
            bill = bill_of(draw, language, layout)
            text = render[layout](draw, bill)
        seen.add(text)
        rows.append({"text": text, "invoice": bill.fields, "language": language, "layout": layout})
    odd = (HERE / "odd.jsonl").read_text(encoding="utf-8").splitlines()
    return [*rows, *({**json.loads(line), "layout": "odd"} for line in odd)]


def main() -> None:
    """Write examples.jsonl, or the file that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--each", type=int, default=EACH, help="documents of a language and layout (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="which are drawn (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "examples.jsonl", help="the file to write")
    chosen = parser.parse_args()
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in made(chosen.each, chosen.seed)]
    chosen.out.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
