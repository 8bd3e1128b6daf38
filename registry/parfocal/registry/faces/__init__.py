"""The registry as others reach it over a network."""
