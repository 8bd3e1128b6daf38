"""The resident base as one step sees it: forward pass, paged attention, KV cache, runner."""
