"""Makes the embedded base `tiny` from nothing: synthetic text, tokenizer, network, optimiser and loop.

Run it as `python -m tiny_base`. It knows neither adapters nor the registry.
"""
