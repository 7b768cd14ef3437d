"""One contender, as a worker process (see common/workers.py): CONTENDER SHAPE.

Requests: {"batch": n, "seconds": s} times the model alone and answers {"rate"}; {"files": [...],
"draft": bool, "seconds": s} times from JPEG file to vector; {"embed": [...], "path": FILE.npy}
writes the embeddings of files.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from common.workers import serve, timed_rate

from encoder import models

THREADS = int(os.environ.get("BENCH_THREADS", "2"))
FILES_BATCH = 8
FILES_AHEAD = 8 * FILES_BATCH  # decoded or being decoded
Network = Callable[[np.ndarray], np.ndarray]  # float32 [n, 3, 224, 224] to [n, dim]


def torch_network(shape: str, precision: str) -> Network:
    import torch

    torch.set_num_threads(THREADS)
    model = models.ClsToken(models.load(shape))
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    model = model.to(dtype)

    def run(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(pixels).to(dtype)).float().numpy()

    return run


def in_halves(networks: list[Network]) -> Network:
    """Each network on its own share of a batch, at the same time."""
    # One after the other at first: OpenVINO's binding sets itself up in the first call, and two of
    # those at a time can wait for each other for ever.
    for network in networks:
        network(np.zeros((1, 3, 224, 224), dtype=np.float32))
    pool = ThreadPoolExecutor(len(networks))

    def run(pixels: np.ndarray) -> np.ndarray:
        shares = np.array_split(pixels, min(len(networks), len(pixels)))
        return np.concatenate(list(pool.map(lambda f, x: f(x), networks, shares)))

    return run


def onnxruntime_network(shape: str, kind: str, sessions: int = 1) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS // sessions

    def session() -> Network:
        made = onnxruntime.InferenceSession(
            str(models.onnx_file(shape, kind)), options, providers=["CPUExecutionProvider"]
        )
        return lambda pixels: made.run(None, {"pixels": pixels})[0]

    return in_halves([session() for _ in range(sessions)]) if sessions > 1 else session()


def openvino_network(shape: str, precision: str, streams: int = 1) -> Network:
    import openvino

    file = {"qdq": models.onnx_file(shape, "qdq"), "nncf": models.openvino_file(shape)}.get(
        precision, models.onnx_file(shape, "fp32")
    )
    settings = {
        "INFERENCE_NUM_THREADS": THREADS,
        "NUM_STREAMS": streams,
        "INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else "bf16",
    }
    core = openvino.Core()
    compiled = core.compile_model(str(file), "CPU", settings)

    def stream() -> Network:
        request = compiled.create_infer_request()
        return lambda pixels: np.array(request.infer({0: pixels}, share_inputs=True)[0])

    return in_halves([stream() for _ in range(streams)]) if streams > 1 else stream()


PEERS: dict[str, Callable[[str], Network]] = {
    "torch-fp32": lambda shape: torch_network(shape, "fp32"),
    "torch-bf16": lambda shape: torch_network(shape, "bf16"),
    "ort-fp32": lambda shape: onnxruntime_network(shape, "fp32"),
    "ort-fp32-fused": lambda shape: onnxruntime_network(shape, "fused"),
    "ort-int8": lambda shape: onnxruntime_network(shape, "dynamic"),
    "ort-int8-qdq": lambda shape: onnxruntime_network(shape, "qdq"),
    "ort-int8-2-sessions": lambda shape: onnxruntime_network(shape, "dynamic", 2),
    "openvino-fp32": lambda shape: openvino_network(shape, "fp32"),
    "openvino-bf16": lambda shape: openvino_network(shape, "bf16"),
    "openvino-bf16-2-streams": lambda shape: openvino_network(shape, "bf16", 2),
    "openvino-int8-qdq": lambda shape: openvino_network(shape, "qdq"),
    "openvino-int8-qdq-2-streams": lambda shape: openvino_network(shape, "qdq", 2),
    "openvino-int8-nncf": lambda shape: openvino_network(shape, "nncf"),
    "openvino-int8-nncf-2-streams": lambda shape: openvino_network(shape, "nncf", 2),
}
OURS = ("vsearch-fp32", "vsearch-bf16", "vsearch-int8")


class Peer:
    """A peer's network behind Pillow: pictures are decoded on threads ahead of the network."""

    def __init__(self, name: str, shape: str):
        self._network = PEERS[name](shape)
        self._decoders = ThreadPoolExecutor(THREADS)

    def model_alone(self, batch: int) -> Callable[[], object]:
        pixels = np.random.default_rng(0).standard_normal((batch, 3, 224, 224), dtype=np.float32)
        return lambda: self._network(pixels)

    def embed(self, files: list[Path], draft: bool) -> np.ndarray:
        return np.concatenate(list(self._batches(files, draft)))

    def _batches(self, files: list[Path], draft: bool) -> Iterator[np.ndarray]:
        jobs: deque[Future[np.ndarray]] = deque()
        left = iter(files)
        while True:
            for path in islice(left, FILES_AHEAD - len(jobs)):
                jobs.append(self._decoders.submit(models.prepare, path, draft))
            if not jobs:
                return
            batch = [jobs.popleft().result() for _ in range(min(FILES_BATCH, len(jobs)))]
            yield self._network(np.stack(batch))


class Ours:
    """The library, from Python as its users call it."""

    def __init__(self, name: str, shape: str):
        import vsearch

        precision = name.removeprefix("vsearch-")
        self._encoder = vsearch.Encoder(models.package(shape), precision=precision)

    def model_alone(self, batch: int) -> Callable[[], object]:
        # Of the size that needs no resize; the crop and the normalisation are counted.
        pixels = np.random.default_rng(0).integers(0, 256, (batch, 256, 256, 3), dtype=np.uint8)
        return lambda: self._encoder.encode(pixels)

    def embed(self, files: list[Path], draft: bool) -> np.ndarray:
        embeddings, failures = self._encoder.encode_files(files, exact=not draft)
        if failures:
            raise RuntimeError(str(failures[0]))
        return embeddings


def main(name: str, shape: str) -> None:
    contender = Ours(name, shape) if name in OURS else Peer(name, shape)

    def answer(request: dict) -> dict:
        if "path" in request:
            np.save(request["path"], contender.embed([Path(f) for f in request["embed"]], False))
            return {}
        if "files" in request:
            files = [Path(f) for f in request["files"]]
            draft = request["draft"]

            def work() -> int:
                return len(contender.embed(files, draft))

        else:
            run = contender.model_alone(request["batch"])

            def work() -> int:
                run()
                return request["batch"]

        if request.get("warm"):
            return {"rate": timed_rate(work, 0.0, least=2)}
        return {"rate": timed_rate(work, request["seconds"], least=1)}

    serve({"name": name, "shape": shape}, answer)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
