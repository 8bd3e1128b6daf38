"""A hostile client beside a server's streams: what it costs them, and what it costs itself."""
