"""Kafka Streams: the application of java/…/Orders.java, two instances of it, held to what this file computes from the same orders.

Exactly once: every order that counts is joined once, and the count of every window goes 1, 2, 3, … to its end, though instances and
broker are killed. At least once: none is lost, and no window ends below its sum.
"""

import random
import shutil
import time
from collections import Counter, defaultdict
from functools import partial

import topics
from patience import eventually
from program import WORK, Program
from suite import QUICK, control, equal

ORDERS = 5_000 if QUICK else 50_000
PARTITIONS = 4
WINDOW = 60_000
REGIONS = ("north", "east", "south", "west", "centre")
EXACTLY = "exactly_once_v2"
GUARANTEES = {"at-least-once": "at_least_once", "exactly-once": EXACTLY}


class Shop:
    """The orders and customers of one application, what is known of its results, and two instances that work on them."""

    def __init__(self, name: str, guarantee: str):
        self.name, self.guarantee = name, guarantee
        chance = random.Random(name)
        begin = int(time.time() * 1000) - 2 * 3_600_000
        self.rows = self._rows(chance, begin - 60_000)
        self.orders = [
            (f"o{n:06d}", f"c{chance.randrange(230):03d}", chance.randrange(1, 1000), begin + n * 50 + chance.randrange(2000))
            for n in range(ORDERS)
        ]
        for stem, config in (("customers", {"cleanup_policy": "compact"}), ("orders", {}), ("enriched", {}), ("sums", {})):
            topics.create(f"{name}.{stem}", PARTITIONS, **config)
        # The whole table stands before the first order, so no order finds less of it than this file does.
        topics.write(f"{name}.customers", self.rows)
        self.enriched, self.sums = topics.Reader(f"{name}.enriched"), topics.Reader(f"{name}.sums")
        self.written = 0
        self.instances = [self._instance("a"), self._instance("b")]

    @staticmethod
    def _rows(chance: random.Random, when: int) -> list:
        """200 customers, half of whom moved; 20 who left; the orders know 30 whom nobody knows."""
        first = [(f"c{n:03d}", chance.choice(REGIONS), when) for n in range(220)]
        moved = [(f"c{n:03d}", chance.choice(REGIONS), when + 1) for n in range(0, 200, 2)]
        return first + moved + [(f"c{n:03d}", None, when + 2) for n in range(200, 220)]

    def _instance(self, letter: str) -> Program:
        words = (topics.BOOTSTRAP, self.name, self.guarantee, self.state(letter))
        return Program(f"{self.name}-{letter}", "klamm.frameworks.Orders", *words)

    def state(self, letter: str):
        return WORK / f"{self.name}-state-{letter}"

    def order(self, upto: int) -> None:
        """Writes the orders up to this number."""
        some = self.orders[self.written : upto]
        topics.write(f"{self.name}.orders", [(key, f"{customer},{amount}", when) for key, customer, amount, when in some])
        self.written = upto

    def expected(self) -> tuple:
        """The joined orders, and count and sum by window, of the orders written so far: the plain recomputation."""
        regions = {}
        for customer, region, _ in self.rows:
            regions[customer] = region
        joined, windows = {}, defaultdict(lambda: [0, 0])
        for key, customer, amount, when in self.orders[: self.written]:
            region = regions.get(customer)
            if amount % 10 and region:
                joined[key] = f"{customer},{region},{key},{amount}"
                window = windows[f"{region}@{when // WINDOW * WINDOW}"]
                window[0] += 1
                window[1] += amount
        return joined, {key: tuple(window) for key, window in windows.items()}

    def reaches(self, share: float) -> None:
        """Waits until this share of the orders written has gone through the join: the middle of the work."""
        enough = len(self.expected()[0]) * share
        eventually(f"{share:.0%} joined", lambda: self._working() and len(self.enriched.read()) >= enough)

    def completes(self) -> None:
        joined, windows = self.expected()

        def complete() -> bool:
            self._working()
            last = self._last()
            return joined.keys() <= {record.key for record in self.enriched.read()} and all(
                last[key][0] >= count for key, (count, _) in windows.items()
            )

        eventually("every order joined and summed", complete)

    def _working(self) -> bool:
        Program.check_all()
        return True

    def _last(self) -> dict:
        last = defaultdict(lambda: (0, 0))
        last.update({record.key: _pair(record.value) for record in self.sums.read()})
        return last

    def stop(self) -> None:
        for instance in self.instances:
            instance.stop()

    def check(self) -> None:
        """Once the instances have stopped and no transaction is open: nothing more can come."""
        names = topics.names()
        inner = sorted(name for name in names if name.startswith(f"{self.name}-"))
        kinds = Counter(name.rsplit("-", 1)[1] for name in inner)
        equal({"changelog": 2, "repartition": 2}, dict(kinds), "inner topics")
        topics.settled(f"{self.name}.enriched", f"{self.name}.sums", *inner)
        joined, windows = self.expected()
        seen = Counter((record.key, record.value) for record in self.enriched.read())
        equal(set(), set(joined.items()) - set(seen), "orders lost")
        equal(set(), set(seen) - set(joined.items()), "orders joined that should not be")
        last = self._last()
        equal(set(windows), set(last), "windows")
        if self.guarantee != EXACTLY:
            low = {key: (last[key], window) for key, window in windows.items() if last[key][0] < window[0] or last[key][1] < window[1]}
            equal({}, low, "windows below their sum")
            return
        equal({}, {key: count for key, count in seen.items() if count > 1}, "orders joined more than once")
        counts = defaultdict(list)
        for record in self.sums.read():
            counts[record.key].append(_pair(record.value)[0])
        wrong = {key: got for key, got in counts.items() if got != list(range(1, windows[key][0] + 1))}
        equal({}, wrong, "windows whose count does not go up by one")
        equal(windows, last, "sums")


def _pair(text: str) -> tuple:
    count, sum_ = text.split(",")
    return int(count), int(sum_)


def app_killed(guarantee: str, name: str) -> None:
    shop = Shop(name, guarantee)
    shop.order(ORDERS // 2)
    shop.reaches(0.2)
    shop.instances[0].kill9()
    shop.order(ORDERS)
    shop.instances[0].start()
    shop.reaches(0.6)
    shop.instances[1].kill9()
    shop.instances[1].start()
    shop.completes()
    shop.stop()
    shop.check()


def broker_killed(guarantee: str, name: str) -> None:
    shop = Shop(name, guarantee)
    for share in (0.5, 1):
        shop.order(int(ORDERS * share))
        shop.reaches(share - 0.3)
        control("kill9")
        control("start")
    shop.completes()
    shop.stop()
    shop.check()


def restored(guarantee: str, name: str) -> None:
    """Stopped and started with the state as it lies; then with one instance's state gone; then with all of it gone."""
    shop = Shop(name, guarantee)
    for share, lost in ((0.25, ()), (0.5, "a"), (0.75, "ab"), (1, ())):
        shop.order(int(ORDERS * share))
        shop.completes()
        shop.stop()
        if share < 1:
            for letter in lost:
                shutil.rmtree(shop.state(letter))
            for instance in shop.instances:
                instance.start()
    shop.check()


PROMISES = {
    f"{words}-{what}": partial(check, guarantee, f"shop-{words}-{what}")
    for words, guarantee in GUARANTEES.items()
    for what, check in (("app-kill9", app_killed), ("broker-kill9", broker_killed), ("restored", restored))
}
NEEDS = {name: "transactions" for name in PROMISES if name.startswith("exactly-once")}
