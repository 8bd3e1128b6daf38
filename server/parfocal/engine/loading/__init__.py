"""From a folder on disk to a resident base, and from that to an engine."""
