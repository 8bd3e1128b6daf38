"""One budget of bytes for base, adapters, KV cache and steps."""
