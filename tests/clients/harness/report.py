"""What is printed: a line a promise as it is decided, a table of promises by client, and the counts."""

from dataclasses import dataclass


@dataclass
class Result:
    client: str
    promise: str
    verdict: str  # "pass", "fail" or "skip"
    seconds: float
    note: str = ""


class Report:
    def __init__(self):
        self.results = []

    def add(self, result: Result) -> None:
        self.results.append(result)
        note = f"  {result.note}" if result.note else ""
        print(f"{result.verdict:4} {result.seconds:6.1f} s  {result.client} {result.promise}{note}", flush=True)

    def count(self, verdict: str) -> int:
        return sum(result.verdict == verdict for result in self.results)

    def print_table(self) -> None:
        clients = list(dict.fromkeys(result.client for result in self.results))
        promises = list(dict.fromkeys(result.promise for result in self.results))
        marks = {(r.promise, r.client): {"pass": "yes", "fail": "NO", "skip": "-"}[r.verdict] for r in self.results}
        width = max((len(promise) for promise in promises), default=0)
        print(" " * width + "".join(f"  {client}" for client in clients))
        for promise in promises:
            cells = (f"  {marks.get((promise, client), ''):^{len(client)}}" for client in clients)
            print((f"{promise:{width}}" + "".join(cells)).rstrip())

    def print_summary(self) -> None:
        skips = {}
        for result in self.results:
            if result.verdict == "skip":
                skips[result.note] = skips.get(result.note, 0) + 1
        for reason, count in sorted(skips.items()):
            print(f"skipped {count}: {reason}")
        for result in self.results:
            if result.verdict == "fail":
                print(f"failed: {result.client} {result.promise}: {result.note}")
        print(f"\n{self.count('pass')} passed, {self.count('fail')} failed, {self.count('skip')} skipped", flush=True)
