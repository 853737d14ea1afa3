"""Dense volumes without torch: normalisation, resizing, patches, classical filters, connected components, curation.

A *lazy volume* is anything with ``shape``, ``dtype`` and ``[slices]``: a dense product of an event store, a memory map,
an array (:mod:`weft.volumes.lazy`). Axes are z, y, x, a channel axis before them where there are several.
"""
