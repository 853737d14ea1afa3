"""Small LArMatch tasks, and batches of small events."""

import torch

from weft import tasks

HEADS = {"larmatch": [8], "key_points": [8], "semantics": [8], "affinity": [8], "shift": [8]}
SMALL = {"stem_width": 4, "widths": [4, 6, 8], "blocks": 1, "features": 4, "heads": HEADS}


def small_task(model=None, **sections):
    return tasks.build("larmatch", {"model": {**SMALL, **(model or {})}, **sections})


def batch_of(task, *events, labels=False):
    return task.collate([task.sample(event, (0, k), labels) for k, event in enumerate(events)])


def network_of(task, seed=0):
    """A network whose answers differ from triplet to triplet, ready to predict."""
    torch.manual_seed(seed)
    network = task.network()
    with torch.no_grad():
        for parameter in network.classify_triplets.parameters():
            parameter.mul_(1.5)
    return network.eval()
