"""The runner of the conformance suite: cases are data, this only fills, sends, checks and reports. Standard library only."""
