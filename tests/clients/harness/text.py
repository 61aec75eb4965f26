"""The text that is carried through the broker: prose-like lines, the same every time for the same size.

Every line opens with its number, so a lost, doubled or swapped line shows as such; some lines are long, some hold
nothing but the number, some are not ASCII.
"""

import random
from pathlib import Path

WORDS = (
    "the gorge carries water that was snow and will be sea and nobody at the mill asks it for its name "
    "a record is written once and read by whoever comes an offset is a promise that nothing stands between "
    "Klamm is the official whom every message is meant for and who has never been seen to read one "
    'Schlucht Brücke Fluß Länge über größer naïve façade Ελλάδα мост 峡谷 水 橋 🌊 🏔 tab\tstop "quoted" back\\slash'
).split(" ")


def write(path: Path, megabytes: int) -> Path:
    """Writes about `megabytes` MB of text to `path`, unless it is there already."""
    if path.exists():
        return path
    chance = random.Random(1922)
    stock = ["", "."]
    while len(stock) < 5000:
        words = chance.choices(WORDS, k=chance.choice((3, 12, 25, 40, 60)))
        stock.append(" ".join(words))
    stock.append("long " * 4000)
    part = path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    line, size, limit = 0, 0, megabytes * 1_000_000
    with part.open("wb") as out:
        while size < limit:
            lines = chance.choices(stock, k=5000)
            block = "".join(f"{line + i:09d} {text}\n" for i, text in enumerate(lines)).encode()
            line += len(lines)
            size += out.write(block)
    part.rename(path)
    return path
