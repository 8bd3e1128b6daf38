"""How large the change is that an adapter makes to each module, and how far two adapters are apart.

Imported where that is asked for: numpy comes with it.
"""

from parfocal.server.weights.comparing import Norms, Place, Sizes, compare
from parfocal.server.weights.factors import Factors, open_factors

__all__ = ["Factors", "Norms", "Place", "Sizes", "compare", "open_factors"]
