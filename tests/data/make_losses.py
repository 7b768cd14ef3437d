"""Makes tests/data/losses.json: losses of random embeddings, as another library and the formulas of
src/train/losses.h find them.

    python tests/data/make_losses.py

Needs torch and pytorch-metric-learning 2.9.0. What it made is committed, so that tests need
neither.
"""

import json
import math
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import torch
from pytorch_metric_learning import losses, miners
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.reducers import MeanReducer

CLASSES, DIM, SUB_CENTRES = 5, 8, 3
BALANCED = [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0]
# A class without pictures, and one with a picture alone.
UNEVEN = [0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 3, 3, 3, 4]


def random(seed, *shape):
    values = np.random.default_rng(seed).normal(size=shape)
    return torch.tensor(np.round(values, 4))  # float64, and short in the file


def with_vectors(loss, vectors):
    """Of a class: its vectors are rows here, columns there."""
    if isinstance(loss, losses.ProxyAnchorLoss):
        loss.proxies = torch.nn.Parameter(vectors.clone())
    else:
        loss.W = torch.nn.Parameter(vectors.t().clone())
    return loss


def of_library(name, margin, scale):
    """As a function of embeddings, labels, class vectors and vectors of sub-centres."""
    sizes = {"num_classes": CLASSES, "embedding_size": DIM}
    if name in ("arcface", "subcentre"):
        sizes["margin"] = math.degrees(margin)
    if name == "arcface":
        loss = losses.ArcFaceLoss(scale=scale, **sizes)
    elif name == "subcentre":
        loss = losses.SubCenterArcFaceLoss(scale=scale, sub_centers=SUB_CENTRES, **sizes)
    elif name == "cosface":
        loss = losses.CosFaceLoss(margin=margin, scale=scale, **sizes)
    elif name == "normsoftmax":
        loss = losses.NormalizedSoftmaxLoss(temperature=1 / scale, **sizes)
    elif name == "proxyanchor":
        loss = losses.ProxyAnchorLoss(margin=margin, alpha=scale, **sizes)
    elif name == "supcon":
        loss = losses.SupConLoss(temperature=1 / scale)
        return lambda x, y, one, several: loss(x, y)
    elif name == "triplet":
        # The paper's mean is over all anchors, the library's over those that are not yet at 0.
        loss = losses.TripletMarginLoss(margin=margin, distance=LpDistance(), reducer=MeanReducer())
        hardest = miners.BatchHardMiner(distance=LpDistance())
        return lambda x, y, one, several: loss(x, y, hardest(x, y))
    elif name == "multisimilarity":
        loss = losses.MultiSimilarityLoss(alpha=2, beta=scale, base=0.5)
        mined = miners.MultiSimilarityMiner(epsilon=margin)
        return lambda x, y, one, several: loss(x, y, mined(x, y))
    return lambda x, y, one, several: with_vectors(loss, several if name == "subcentre" else one)(
        x, y
    )


# Loss, margin, scale: what is usual, then others. A margin of 1.2 sends many angles to the
# fallback.
NUMBERS = [
    ("arcface", 0.5, 64),
    ("arcface", 1.2, 10),
    ("subcentre", 0.5, 64),
    ("subcentre", 1.2, 10),
    ("cosface", 0.35, 64),
    ("cosface", 0.1, 5),
    ("normsoftmax", 0, 20),
    ("normsoftmax", 0, 3),
    ("proxyanchor", 0.1, 32),
    ("proxyanchor", 0.4, 4),
    ("supcon", 0, 10),
    ("supcon", 0, 2),
    ("triplet", 0.2, 1),
    ("triplet", 1.0, 1),
    ("multisimilarity", 0.1, 50),
    ("multisimilarity", 0.4, 10),
]


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def huber(x):
    return 0.5 * x * x if abs(x) < 1 else abs(x) - 0.5


def relational(student, teacher):
    """RKD-DA (arXiv 1904.05068) as its equations have it, pair by pair."""

    def distances(x):
        found = np.array([np.linalg.norm(a - b) for a, b in combinations(x, 2)])
        return found / found.mean()

    def angles(x):
        cosines = []
        for i, j, k in permutations(range(len(x)), 3):
            a, b = x[i] - x[j], x[k] - x[j]
            cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        return np.array(cosines)

    student, teacher = unit(student), unit(teacher)
    of_distances = [huber(d) for d in distances(student) - distances(teacher)]
    of_angles = [huber(d) for d in angles(student) - angles(teacher)]
    return np.mean(of_distances) + 2 * np.mean(of_angles)


def main():
    scattered = random(1, 16, DIM)
    vectors = random(2, CLASSES, DIM)
    # Near their class's vector: some are learned already, and mining leaves pairs out.
    clustered = vectors[BALANCED] + 0.4 * random(6, 16, DIM)
    batches = {
        "balanced": (scattered, BALANCED),
        "uneven": (scattered, UNEVEN),
        "clustered": (clustered.round(decimals=4), BALANCED),
    }
    sub_centres = random(3, CLASSES * SUB_CENTRES, DIM)
    teacher = random(4, 16, DIM)
    small_teacher = random(5, 16, 6)
    cases = []
    for name, margin, scale in NUMBERS:
        for batch, (embeddings, labels) in batches.items():
            value = of_library(name, margin, scale)(
                embeddings, torch.tensor(labels), vectors, sub_centres
            ).item()
            cases.append(
                {"loss": name, "margin": margin, "scale": scale, "batch": batch, "value": value}
            )
    similarities = (unit(scattered.numpy()) * unit(teacher.numpy())).sum(axis=1)
    data = {
        "batches": {
            batch: {"embeddings": embeddings.tolist(), "labels": labels}
            for batch, (embeddings, labels) in batches.items()
        },
        "class_vectors": vectors.tolist(),
        "sub_centres": sub_centres.tolist(),
        "teacher": teacher.tolist(),
        "small_teacher": small_teacher.tolist(),
        "cases": cases,
        "cosine_distillation": (1 - similarities).mean(),
        "relational_distillation": relational(scattered.numpy(), teacher.numpy()),
        "relational_distillation_small": relational(scattered.numpy(), small_teacher.numpy()),
    }
    text = json.dumps(data).replace('"cases"', '\n"cases"').replace(', {"loss"', ',\n{"loss"')
    Path(__file__).with_name("losses.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
