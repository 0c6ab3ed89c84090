"""Writes shop.sqlite, the database of a small shop with invented customers and orders: the same for the same seed."""

from __future__ import annotations

import argparse
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
Rows = Sequence[tuple[object, ...]]
SEED, CUSTOMERS, ORDERS = 0, 60, 240
SCHEMA = """
CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT, city TEXT, country TEXT, joined TEXT, newsletter INTEGER);
CREATE TABLE products(id INTEGER PRIMARY KEY, name TEXT, category TEXT, price REAL, stock INTEGER);
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers(id), ordered TEXT, status TEXT,
  shipped TEXT);
CREATE TABLE items(order_id INTEGER REFERENCES orders(id), product_id INTEGER REFERENCES products(id), quantity INTEGER,
  price REAL, PRIMARY KEY(order_id, product_id));
"""
FIRST = (
    *("Ada", "Bruno", "Clara", "Dario", "Elif", "Fabio", "Greta", "Hugo", "Ines", "Jonas", "Karla", "Luca", "Mira"),
    *("Nils", "Olga", "Pablo", "Quirin", "Rosa", "Silas", "Tilda", "Urs", "Vera", "Wim", "Xenia", "Yann", "Zoe"),
)
CITIES = {
    "Austria": ("Graz", "Linz", "Vienna"),
    "France": ("Lyon", "Nantes", "Paris"),
    "Germany": ("Berlin", "Bremen", "Hamburg", "Munich"),
    "Italy": ("Milan", "Rome", "Turin"),
    "Netherlands": ("Delft", "Utrecht"),
    "Switzerland": ("Basel", "Zurich"),
}
PRODUCTS = {
    "bath": (
        "bath mat 24.9",
        "hand towel 9.5",
        "mirror 49",
        "soap dish 6.8",
        "toothbrush cup 5.9",
        "laundry basket 34.5",
    ),
    "garden": (
        "garden hose 29.9",
        "rake 18.5",
        "seed box 12",
        "trowel 8.9",
        "watering can 15.9",
        "wheelbarrow 89",
        "gloves 7.5",
    ),
    "kitchen": (
        *(
            "bread knife 21.9",
            "chopping board 17.5",
            "coffee grinder 64",
            "frying pan 39.9",
            "kettle 44.9",
            "ladle 6.5",
        ),
        *("mixing bowl 14.9", "pepper mill 27", "teapot 32.5", "whisk 5.5"),
    ),
    "office": ("desk lamp 42", "hole punch 11.5", "notebook 4.9", "paper tray 13.9", "stapler 9.9", "pencil case 8.5"),
    "toys": ("ball 6", "building blocks 36.5", "jigsaw puzzle 16.9", "kite 19.5", "plush bear 22", "wooden train 54"),
}
STATUSES = {"shipped": 60, "paid": 15, "open": 10, "returned": 8, "cancelled": 7}


def customers(draw: random.Random) -> Rows:
    """Return the customers: (id, name, city, country, joined, newsletter)."""
    # A first name and an initial: nobody's whole name.
    names = draw.sample([f"{first} {initial}." for first in FIRST for initial in "BDFHKLMRSW"], CUSTOMERS)
    rows = []
    for number, name in enumerate(names, start=1):
        country = draw.choices(list(CITIES), weights=(2, 3, 5, 3, 1, 2))[0]
        joined = date(2022, 1, 1) + timedelta(days=draw.randrange(3 * 365))
        rows.append((number, name, draw.choice(CITIES[country]), country, joined.isoformat(), int(draw.random() < 0.4)))
    return rows


def products(draw: random.Random) -> Rows:
    """Return the products: (id, name, category, price, stock); some are sold out."""
    whole = [(*text.rsplit(" ", 1), category) for category, texts in PRODUCTS.items() for text in texts]
    draw.shuffle(whole)
    return [
        (number, name, category, float(price), 0 if draw.random() < 0.12 else draw.randint(1, 120))
        for number, (name, price, category) in enumerate(whole, start=1)
    ]


def orders(draw: random.Random, people: Rows) -> Rows:
    """Return the orders of 2024 and 2025: (id, customer_id, ordered, status, shipped); a few people have none."""
    buyers = draw.sample(people, CUSTOMERS - 6)
    weights = [draw.choice((1, 1, 2, 4)) for _ in buyers]
    days = sorted(draw.randrange(2 * 365) for _ in range(ORDERS))
    rows = []
    for number, day in enumerate(days, start=1001):
        ordered = date(2024, 1, 1) + timedelta(days=day)
        buyer = draw.choices(buyers, weights)[0]
        status = draw.choices(list(STATUSES), list(STATUSES.values()))[0]
        shipped = ordered + timedelta(days=draw.choice((0, 1, 1, 2, 2, 3, 4, 7, 12)))
        late = shipped.isoformat() if status in ("shipped", "returned") else None
        # Nobody orders before they have joined.
        joined = max(str(buyer[4]), ordered.isoformat())
        rows.append((number, buyer[0], joined, status, late and max(late, joined)))
    return rows


def items(draw: random.Random, bought: Rows, goods: Rows) -> Rows:
    """Return what was ordered: (order_id, product_id, quantity, price); one in six pieces was sold at a discount."""
    sold = draw.sample(goods, len(goods) - 3)
    weights = [draw.choice((1, 2, 3, 6)) for _ in sold]
    rows = []
    for order in bought:
        chosen = {product[0]: product for product in draw.choices(sold, weights, k=draw.choice((1, 1, 2, 2, 3, 4)))}
        for product in chosen.values():
            price = float(str(product[3]))
            price = round(price * draw.choice((0.8, 0.9)), 2) if draw.random() < 1 / 6 else price
            rows.append((order[0], product[0], draw.choice((1, 1, 1, 2, 2, 3, 5)), price))
    return rows


def write(path: Path, seed: int) -> None:
    """Write the database to a new file; one that is there is replaced."""
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    people, goods = customers(draw), products(draw)
    bought = orders(draw, people)
    tables = {"customers": people, "products": goods, "orders": bought, "items": items(draw, bought, goods)}
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as shop:
        shop.executescript(SCHEMA)
        for table, rows in tables.items():
            marks = ", ".join("?" * len(rows[0]))
            shop.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - names of ours
        shop.commit()
        shop.execute("VACUUM")


def main() -> None:
    """Write shop.sqlite, or the file that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help="the rows depend on it (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "shop.sqlite", help="the file to write")
    chosen = parser.parse_args()
    write(chosen.out, chosen.seed)


if __name__ == "__main__":
    main()
