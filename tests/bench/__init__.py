"""Measures Parfocal beside others, and draws what was found. Needs a checkout; nothing of it is shipped."""
