"""From segmentations to training data (microscopy_segmentation spec §9): tables, masks, contact sheets, triples."""
