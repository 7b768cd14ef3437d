"""Other threads run during long calls, and Ctrl-C ends them."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import vsearch
from conftest import pixels

# A thread that ticks every millisecond gets this often to run during the calls below, which take
# at least 100 ms; if the interpreter were held, at most once or twice.
ENOUGH_TICKS = 20


def test_encoding_lets_other_threads_run(slow_model, ticks):
    encoder = vsearch.Encoder(slow_model, verify=False)
    pictures = [pixels(i) for i in range(32)]
    assert ticks(lambda: encoder.encode(pictures)) > ENOUGH_TICKS


def test_the_index_lets_other_threads_run(ticks):
    vectors = np.random.default_rng(1).standard_normal((6000, 64), dtype=np.float32)
    index = vsearch.Index(64)
    assert ticks(lambda: index.add(vectors, np.arange(6000))) > ENOUGH_TICKS
    assert ticks(lambda: index.search(vectors[:1000], exact=True)) > ENOUGH_TICKS


def test_the_catalogue_lets_other_threads_run(slow_model, photos, tmp_path, ticks):
    with vsearch.create(tmp_path / "shop.vsearch", encoder=slow_model) as shop:
        items = [(f"{n}-{i}", path) for n in range(4) for i, path in enumerate(photos)]
        assert ticks(lambda: shop.add_many(items)) > ENOUGH_TICKS

        def search_ten_times():
            for _ in range(10):
                shop.search(image=photos[0])

        assert ticks(search_ten_times) > ENOUGH_TICKS


def test_searches_beside_writes(shop, photos):
    """Callbacks that need the interpreter, from a writer that holds the library's locks."""
    failures = []
    stop = threading.Event()

    def search():
        while not stop.is_set():
            try:
                assert shop.search(like="item-0", k=3)
                assert "item-0" in shop
                assert len(shop.search(image=pixels(1), k=1)) == 1
            except Exception as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(5):
        items = [(f"new-{n}-{i}", path) for i, path in enumerate(photos)]
        shop.add_many(items, progress=lambda done, total: None)
        shop.remove([key for key, _ in items[:4]])
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(shop) == 8 + 5 * 4


def test_closing_breaks_no_call_that_is_running(shop):
    outcomes = []

    def search():
        try:
            outcomes.append(shop.search(image=pixels(1), k=1)[0].key)
        except ValueError as error:  # it came too late
            outcomes.append(str(error))

    threads = [threading.Thread(target=search) for _ in range(8)]
    for thread in threads:
        thread.start()
    shop.close()
    for thread in threads:
        thread.join()
    assert set(outcomes) <= {"item-1", "the catalogue is closed: open it again"}
    assert len(outcomes) == 8


def test_ctrl_c_ends_adding_and_keeps_what_was_acknowledged(slow_model, photos, tmp_path):
    path = tmp_path / "shop.vsearch"
    acknowledged = 0

    def interrupt_later(done, total):
        nonlocal acknowledged
        acknowledged = done
        if done > 0:
            os.kill(os.getpid(), signal.SIGINT)

    items = [(f"{n}-{i}", photo) for n in range(200) for i, photo in enumerate(photos)]
    with vsearch.create(path, encoder=slow_model) as shop:
        with pytest.raises(KeyboardInterrupt):
            shop.add_many(items, progress=interrupt_later)
        assert acknowledged > 0
        assert acknowledged <= len(shop) < len(items)
        kept = shop.keys()
    with vsearch.open(path) as shop:
        assert shop.keys() == kept


def test_ctrl_c_without_a_progress_callback(slow_model):
    """In a process of its own: the signal must end a single call."""
    code = """
import sys, numpy as np, vsearch
encoder = vsearch.Encoder(sys.argv[1], verify=False)
picture = np.zeros((64, 64, 3), np.uint8)
print("ready", flush=True)
try:
    encoder.encode([picture] * 20000)
except KeyboardInterrupt:
    print("interrupted")
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code, slow_model], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    printed, _ = child.communicate(timeout=30)
    assert printed == "interrupted\n"
    assert child.returncode == 0
