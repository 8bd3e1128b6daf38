"""What a version says of itself to people: a model card, written from its manifest."""

from parfocal.registry.cards.model_card import CARD_FILE, LIBRARY, card, card_data, merged_card

__all__ = ["CARD_FILE", "LIBRARY", "card", "card_data", "merged_card"]
