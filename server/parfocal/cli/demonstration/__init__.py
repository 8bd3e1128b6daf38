"""The demo: a tour from data to a hot swap, on the embedded base, through the public surface only."""
