"""The registry on the wire: its values as messages of `parfocal.v1`, and back. Knows no storage."""
