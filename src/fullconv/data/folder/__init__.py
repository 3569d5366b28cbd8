"""The user's own folder of images and masks: its layout, its splits, and the recipe that `fullconv init` writes for it."""
