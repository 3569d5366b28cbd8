"""fullconv."""
