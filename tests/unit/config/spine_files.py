"""Configurations of SPINE with some keys changed, and the experiments that they become."""

import json
from pathlib import Path

import yaml

from weft import tasks
from weft.config.dialects import import_config

CHAIN = Path(__file__).parent / "spine_full_chain.yaml"


def chain():
    """The full chain; blocks that the file repeats by reference are copies here."""
    return json.loads(json.dumps(yaml.safe_load(CHAIN.read_text())))


def document(base=None, **changes):
    """The file, or another one, in which keys with slashes are set to other values (``...``: removed)."""
    made = chain() if base is None else base
    for key, value in changes.items():
        *parents, last = key.split("/")
        node = made
        for name in parents:
            node = node[int(name)] if isinstance(node, list) else node.setdefault(name, {})
        if value is ...:
            del node[last]
        else:
            node[last] = value
    return made


def imported(tmp_path, base=None, form="auto", **changes):
    path = tmp_path / "theirs.yaml"
    path.write_text(yaml.safe_dump(document(base, **changes), sort_keys=False))
    return import_config(path, "spine", form)


def experiment(made):
    return tasks.resolve(made.validated("lartpc"))
