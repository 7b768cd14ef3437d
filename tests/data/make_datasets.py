"""Makes tests/data/datasets: lists of data sets in the formats of MATLAB and Python, of a few
lines each.

    python tests/data/make_datasets.py

Needs numpy and scipy. What it made is committed, so that tests need neither.
"""

import pickle
from pathlib import Path

import numpy as np
from scipy.io import savemat

FOLDER = Path(__file__).parent / "datasets"


def cell(values):
    """A cell array of one row."""
    result = np.empty((1, len(values)), dtype=object)
    result[0, :] = values
    return result


def struct(rows, fields):
    """A struct array of one row."""
    result = np.empty((1, len(rows)), dtype=[(field, object) for field in fields])
    for i, row in enumerate(rows):
        result[0, i] = tuple(row)
    return result


def cars():
    classes = [f"Maker Model {i} Coupe 2012" for i in range(1, 197)]
    classes[97] = "Citroën C3 Hatchback 2012"
    rows = []
    for i, label in enumerate([1, 1, 98, 99, 99, 196, 196], 1):
        sides = [np.array([[n]], dtype=np.uint16) for n in (39, 116, 569, 375)]
        rows.append([f"car_ims/{i:06d}.jpg", *sides, np.uint8(label), np.uint8(i % 2)])
    fields = ["relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test"]
    return {"annotations": struct(rows, fields), "class_names": cell(classes)}


def instre():
    gallery = ["INSTRE-S1/01a_canada_book/001.jpg", "INSTRE-S1/01a_canada_book/002.jpg",
               "INSTRE-S2/03_coke/001.jpg", "INSTRE-M/01/001.jpg"]  # fmt: skip
    queries = ["INSTRE-S1/01a_canada_book/013.jpg", "INSTRE-S2/03_coke/002.jpg"]
    rows = [
        [np.array([[1, 2, 4]], dtype=np.float64), np.array([[2, 4, 12, 12]], dtype=np.float64)],
        [np.array([[3]], dtype=np.float64), np.array([[0, 0, 16, 8]], dtype=np.float64)],
    ]
    return {"imlist": cell(gallery), "qimlist": cell(queries), "gnd": struct(rows, ["ok", "bbx"])}


def revisited(place, numbers):
    return {
        "imlist": [f"{place}_{i:06d}" for i in range(6)],
        "qimlist": [f"{place}_hall_000100", f"{place}_tower_000200"],
        "gnd": [
            {
                "bbx": [2.0, 4.0, 12.0, 12.0],
                "easy": numbers([0, 1]),
                "hard": numbers([2]),
                "junk": numbers([3]),
            },
            {
                "bbx": [0.0, 0.0, 16.0, 16.0],
                "easy": numbers([]),
                "hard": numbers([4]),
                "junk": numbers([]),
            },
        ],
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    savemat(FOLDER / "cars_annos.mat", cars(), do_compression=True)
    savemat(FOLDER / "gnd_instre.mat", instre(), do_compression=True)
    lists = revisited("oxford", list)
    (FOLDER / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(lists, protocol=2))
    arrays = revisited("paris", lambda values: np.array(values, dtype=np.int64))
    for protocol in range(6):
        (FOLDER / f"numpy_{protocol}.pkl").write_bytes(pickle.dumps(arrays, protocol=protocol))
