"""A model card: what a trained model is, what it learned from, how good it is, and where it ends, as the Markdown of the hub.

Nothing in it is asked of the reader's trust: what a file does not say stands there as unknown.
"""

from fullconv.interop.card.facts import UNKNOWN, CardFacts, gather
from fullconv.interop.card.markdown import card_text
from fullconv.interop.card.write import write_card

__all__ = ["UNKNOWN", "CardFacts", "card_text", "gather", "write_card"]
