"""Triangle meshes without torch: what is measured of faces, clusters of them, augmentation, smoothing.

A mesh is ``vertices`` float64 [V, 3] in metres and ``faces`` integer [M, 3], rows of them. Nothing here asks that it be
manifold: duplicated faces, edges with more than two faces, holes, loose parts and faces without area are all legal.
"""
