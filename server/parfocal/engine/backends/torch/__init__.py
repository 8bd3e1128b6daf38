"""Plain torch, which runs everywhere, and what makes it faster on CPUs."""
