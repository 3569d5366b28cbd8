"""Using what was trained: images in, label maps, overlays and heat maps out."""
