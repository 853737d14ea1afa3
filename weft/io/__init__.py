"""Reading and writing: the event store, detector file formats, provenance."""
