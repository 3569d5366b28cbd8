"""Using what was trained: pictures in, label maps, overlays and heat maps out."""
