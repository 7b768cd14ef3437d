"""Contenders in processes of their own, asked by turns.

A process a contender: thread pools do not get in each other's way, and what is not asked sleeps.
A worker reads a JSON request a line on stdin and answers a JSON line on stdout.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable


class Worker:
    """The parent's side."""

    def __init__(self, module: str, arguments: list[str]):
        self.name = " ".join(arguments)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ready = self._read()  # what the worker says of itself

    def ask(self, request: dict) -> dict:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(60)

    def _read(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: the worker ended with status {self._process.wait()}")
        return json.loads(line)


def serve(ready: dict, answer: Callable[[dict], dict]) -> None:
    """The worker's side: answers until stdin ends."""
    # Whatever a library prints must not mix with the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps(ready), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


def timed_rate(work: Callable[[], int], seconds: float, least: int = 2) -> float:
    """Units a second that ``work`` does, which returns how many it did; for ``seconds``."""
    rates = []
    begin = time.perf_counter()
    while len(rates) < least or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        units = work()
        rates.append(units / (time.perf_counter() - start))
    return statistics.median(rates)


def by_turns(
    workers: list[Worker], request: dict | list[dict], rounds: int, key: str
) -> list[list]:
    """The values of ``key`` that each worker answered, round after round, to one request for all or
    to one of its own.
    """
    requests = request if isinstance(request, list) else [request] * len(workers)
    values: list[list] = [[] for _ in workers]
    for worker, own in zip(workers, requests):
        worker.ask({**own, "warm": True})
    for round_number in range(rounds):
        order = range(len(workers)) if round_number % 2 == 0 else reversed(range(len(workers)))
        for i in order:
            values[i].append(workers[i].ask(requests[i])[key])
    return values
