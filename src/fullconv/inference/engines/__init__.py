"""What can compute a net's logits, one runtime a file."""
