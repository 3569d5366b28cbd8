"""Models from elsewhere, and models for elsewhere."""
