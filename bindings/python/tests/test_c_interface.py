"""The C interface with a model that knows words, which the C programs of its own tests lack."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
from conftest import DIM


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
