"""The registry's promises, shown on this machine: chaos, many adapters, a large one, an alias that moves."""
