"""Simulated towns through the workflow: tiles, their stores, and what makes them anew."""

from pathlib import Path

from weft.io.store import EventStore


def test_simulated_towns_are_made_and_converted(snakemake, plan_of, tmp_path):
    store = f"{tmp_path}/data/towns-tiny/test/0000.h5"
    given = ("--config", f"results={tmp_path}", "experiments=[meshes]", "scale=tiny")
    snakemake("--cores", "1", *given, "--", store, timeout=280)
    tiles = sorted(path.name for path in Path(store).with_suffix(".towns").iterdir())
    assert [name for name in tiles if name.endswith(".ply")] == [
        "Tile_+1003_+2000_groundtruth_L1.ply",
        "Tile_+1003_+2001_groundtruth_L1.ply",
    ]
    with EventStore.open(store) as made:
        assert {"vertices", "faces", "face_labels", "face_pixels", "face_surface"} <= set(made.products)
        assert len(made) == 2
        assert len(set(made.events["uid"].tolist())) == 2
    assert "Nothing to be done" in snakemake("-n", *given, "--", store).stdout
    # The training tiles are the first to be read: simulated, then converted, then learned from.
    rules = [job.rule for job in plan_of(*given) if job.wildcards.get("split") == "train"]
    assert rules.count("simulate_towns") == rules.count("convert_events") == 1
