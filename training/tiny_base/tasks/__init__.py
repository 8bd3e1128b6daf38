"""The tasks that documents set, and the mixture of them that is learnt."""
