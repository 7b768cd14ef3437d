"""The C interface with networks that the C programs of its own tests lack: words, training."""

import ctypes
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import DIM, save


class Options(ctypes.Structure):
    """vsearch_encoder_options"""

    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("use_cuda", ctypes.c_int32),
        ("device_index", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
        ("skip_verify", ctypes.c_int32),
        ("precision", ctypes.c_int32),
    )


class Error(ctypes.Structure):
    """vsearch_error"""

    _fields_ = (("status", ctypes.c_int32), ("message", ctypes.c_char * 1020))


class TrainState(ctypes.Structure):
    """vsearch_train_state"""

    _fields_ = (
        ("epoch", ctypes.c_uint32),
        ("epochs", ctypes.c_uint32),
        ("step", ctypes.c_uint64),
        ("steps", ctypes.c_uint64),
        ("loss", ctypes.c_double),
        ("seconds_left", ctypes.c_double),
    )


@pytest.fixture
def library():
    from vsearch import _vsearch

    path = Path(_vsearch.__file__).resolve().parents[2] / "libvsearch.so"
    if not path.is_file():
        pytest.skip(f"{path} is not there: the package is installed without its build tree")
    return ctypes.CDLL(str(path))


def test_words(library, rich_model, rich):
    options = Options(struct_size=ctypes.sizeof(Options), precision=1)
    encoder, error = ctypes.c_void_p(), Error()
    references = ctypes.byref(options), ctypes.byref(encoder), ctypes.byref(error)
    assert library.vsearch_encoder_load(str(rich_model).encode(), *references) == 0, error.message
    assert library.vsearch_encoder_has_text(encoder) == 1
    assert library.vsearch_encoder_precision(encoder) == 1

    def encode(*texts: bytes) -> tuple[int, np.ndarray]:
        result = np.zeros((len(texts), DIM), np.float32)
        status = library.vsearch_encoder_encode_text(
            encoder,
            (ctypes.c_char_p * len(texts))(*texts),
            ctypes.c_size_t(len(texts)),
            result.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(result.size),
            ctypes.byref(error),
        )
        return status, result

    texts = ["a red shirt", "Schöne Schuhe 👟", ""]
    status, embeddings = encode(*(text.encode() for text in texts))
    assert status == 0, error.message
    np.testing.assert_array_equal(embeddings, rich.encode_text(texts))
    assert encode(b"good", b"\xff")[0] == 1  # VSEARCH_INVALID_ARGUMENT
    assert b"text 2 of 2 is not UTF-8" in error.message
    library.vsearch_encoder_free(encoder)


def test_training(library, model, tmp_path):
    """With a network, which the stand-ins of the C tests lack."""
    for i, name in enumerate(("a/0", "a/1", "b/0", "b/1", "c/0", "c/1")):
        save(tmp_path / "photos" / f"{name}.png", i)
    steps = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(TrainState))
    def tell(user, state):
        if state.contents.epoch > 0:
            steps.append((state.contents.epoch, state.contents.epochs, state.contents.loss))
        return 0

    def train(output: Path, options: bytes) -> tuple[int, Error, str]:
        text, error = ctypes.c_void_p(), Error()
        status = library.vsearch_train(
            *(str(model).encode(), b"folder", str(tmp_path / "photos").encode()),
            *(str(output).encode(), options, tell, None, ctypes.byref(text), ctypes.byref(error)),
        )
        library.vsearch_text_data.restype = ctypes.c_char_p
        data = library.vsearch_text_data(text)
        library.vsearch_text_free(text)
        return status, error, (data or b"").decode()

    status, error, text = train(tmp_path / "tuned.vsm.pt", b'{"epochs": 2, "held_out_classes": 0}')
    assert status == 0, error.message
    report = json.loads(text)
    assert report["data"]["classes"] == 3
    assert [epoch["epoch"] for epoch in report["epochs"]] == [0, 1, 2]
    assert {(epoch, epochs) for epoch, epochs, _ in steps} == {(1, 2), (2, 2)}
    assert all(loss > 0 for _, _, loss in steps)
    assert (tmp_path / "tuned.vsm.pt").stat().st_size > 0

    assert train(model, b"{}")[0] == 1  # VSEARCH_INVALID_ARGUMENT
    status, error, text = train(tmp_path / "no.vsm.pt", b'{"rate": 7}')
    assert (status, text) == (1, "")
    assert b"rate is 7" in error.message
