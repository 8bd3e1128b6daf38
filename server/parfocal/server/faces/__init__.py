"""The server as clients reach it."""
