"""The processes of one run: which of them this is, what they tell each other, and what ends them together."""

from parfocal.training.processes.peers import ALONE, Alone, Peers, joined
from parfocal.training.processes.place import Place, refuse_sharding

__all__ = ["ALONE", "Alone", "Peers", "Place", "joined", "refuse_sharding"]
