"""Graphs of clusters: features of nodes and edges, construction, and groups from scores. Plain arrays, without torch.

A cluster is a set of voxel rows; the clusters of an event are a :class:`weft.io.products.Ragged` of row numbers into
`coords` [N, 3]. Everything is of one event. Lengths are in the unit of `coords`.
"""
