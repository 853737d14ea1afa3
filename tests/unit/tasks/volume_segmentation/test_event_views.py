"""The stack that a report shows: which maps and outlines, and where its planes are."""

import json
import re

import numpy as np
from made_stacks import MemoryStore, event, perfect, worse

from weft.report.stack_view import busiest
from weft.tasks.volume_segmentation.event_views import event_figures

CLASSES = ("background", "structure")


def shown(stack, made):
    (figure,) = event_figures(MemoryStore([stack], [made]), 0, "which is any", CLASSES)
    assert figure.caption.startswith("Stack 1/0/0, which is any.")
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', figure.html, re.DOTALL)[1])


def test_image_probability_and_objects():
    data = shown(event(seed=1), worse(event(seed=1)))
    assert [m["name"] for m in data["maps"]] == ["image", "probability of structure"]
    assert [o["name"] for o in data["outlines"]] == ["truth", "prediction"]
    assert data["outlines"][0]["labels"] != data["outlines"][1]["labels"]
    assert data["size"] == [0.3, 0.1, 0.1]


def test_labels_where_there_are_no_objects_and_uncertainty_where_there_is():
    stack = event(seed=1)
    made = {"labels": perfect(stack)["labels"], "uncertainty": np.zeros((4, *stack["truth/labels"].shape), np.float32)}
    data = shown(stack, made)
    assert [m["name"] for m in data["maps"]] == [
        "image", "entropy", "variance", "mutual information", "one minus max",
    ]  # fmt: skip
    assert data["outlines"][0]["labels"] == data["outlines"][1]["labels"]


def test_labels_where_the_objects_of_this_stack_are_not_known():
    """Another image of the shard has a file of instances, this one has not."""
    stack, made = event(seed=1), worse(event(seed=1))
    expected = shown({k: v for k, v in stack.items() if k != "truth/instances"}, made)
    stack["truth/instances"] = np.full_like(stack["truth/instances"], -1)
    assert shown(stack, made)["outlines"] == expected["outlines"]


def test_planes_cut_what_is_there():
    labels = np.zeros((5, 9, 9), np.int16)
    labels[3, 2, 1:8], labels[1, 7, 7] = 1, 2
    assert busiest(labels) == (3, 2, 7)
    assert busiest(np.zeros((1, 8, 6))) == (0, 4, 3)
