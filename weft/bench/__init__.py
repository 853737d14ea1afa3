"""Measurements of the whole chain: every stage, beside SPINE's, and against the size of the event."""
