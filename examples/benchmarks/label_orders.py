"""How surely a wrong label order is noticed: label maps written in one order, read in another.

Run with ``python examples/benchmarks/label_orders.py PORTRAITS``, a folder as
``facemask_inpaint.data.open_faces`` reads it, with label maps in the order of CelebAMask-HQ.
Each of them is written in every label order and read in every other one. Readings that are refused,
since ids are unknown, or that give the very same label map, need no warning and do not count.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from facemask_inpaint import data
from facemask_inpaint.errors import LabelMapError
from facemask_inpaint.labels import LABEL_IDS, LABEL_NAMES, LABEL_ORDERS, LabelOrder
from facemask_inpaint.masks import Annotation, open_label_map, order_violations

OTHER = {"easyportrait": "person"}
"""What an order calls the labels of a head that it has no name for."""


def written_in(ids: np.ndarray, order: LabelOrder, other: str | None) -> np.ndarray:
    """A label map with the ids of another order; what that lacks is ``other``, or background."""
    table = np.zeros(len(LABEL_NAMES), dtype=np.uint8)
    if other is not None:
        table[1:] = order.labels.index(other)
    for own, name in reversed(list(enumerate(order.names))):
        table[[LABEL_IDS[label] for label in order.covers.get(name, (name,))]] = own
    return table[ids]


def compare(ids: np.ndarray, written: str, read: str) -> str:
    """What becomes of a label map written in one order and read in another."""
    label_map = written_in(ids, LABEL_ORDERS[written], OTHER.get(written))
    try:
        source = open_label_map(label_map, label_order=read)
    except LabelMapError:
        return "refused"
    right = open_label_map(label_map, label_order=written)
    if written != read and np.array_equal(source.ids, right.ids):
        return "same"
    return "warned" if order_violations(source) else "not warned"


def print_table(counts: dict[tuple[str, str], Counter[str]]) -> None:
    """Print the share of warnings for each pair, false alarms where both are one order."""
    wrong: Counter[str] = Counter()
    print(f"{'written in':20}{'read as itself':>15}   least, of the wrong orders")
    for written in LABEL_ORDERS:
        own = counts[written, written]
        alarms = own["warned"] / own.total()
        shares = {}
        for read in LABEL_ORDERS:
            count = counts[written, read]
            if written != read:
                wrong.update(count)
                if judged := count["warned"] + count["not warned"]:
                    shares[read] = count["warned"] / judged
        least = min(shares, key=lambda read: shares[read])
        print(f"{written:20}{alarms:>14.1%}   {shares[least]:.1%} (as {least})")
    judged = wrong["warned"] + wrong["not warned"]
    print(
        f"\nwarned when the order was wrong: {wrong['warned'] / judged:.2%} of {judged:,} readings"
    )
    print(f"refused: {wrong['refused']:,}; the same in both orders: {wrong['same']:,}")


@click.command()
@click.argument("portraits", type=click.Path(exists=True, path_type=Path))
@click.option("--limit", type=int, help="Take the first so many portraits only.")
def main(portraits: Path, limit: int | None) -> None:
    """Print the table."""
    faces = data.open_faces(portraits, "all")[:limit]
    counts = {(a, b): Counter[str]() for a in LABEL_ORDERS for b in LABEL_ORDERS}
    for face in tqdm(faces, disable=None):
        source = face.read_label_map()
        ids = source.merged() if isinstance(source, Annotation) else source.ids
        for written, read in counts:
            counts[written, read][compare(ids, written, read)] += 1
    print(f"portraits: {len(faces)}")
    print_table(counts)


if __name__ == "__main__":
    main()
