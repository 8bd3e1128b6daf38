"""What the engine is measured against: small random bases of all its architectures, and PEFT on them."""
