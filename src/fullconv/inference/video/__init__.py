"""Videos and image sequences in; labelled videos, frames and areas over time out; see docs/video.md."""
