"""Simulated fluorescence stacks: nuclear shells, filaments and blobs, with exact truth (docs/stacks.md)."""
