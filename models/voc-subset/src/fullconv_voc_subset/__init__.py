"""A trained model for fullconv, in ``model.safetensors``: ``fullconv predict voc-subset photo.jpg --overlay``."""
