"""What structured output costs, and whether it is what was asked for."""
