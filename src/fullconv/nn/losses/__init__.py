"""What training makes small: per-pixel losses, overlaps of classes, and weighted sums of them."""
