"""Published data sets in the layouts that their authors distribute, one file each."""
