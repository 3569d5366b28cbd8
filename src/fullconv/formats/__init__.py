"""File formats for label maps, one file each."""
