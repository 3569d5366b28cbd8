"""A fully connected conditional random field that sharpens the outlines of a segmentation."""
