"""Trained models behind HTTP: ``fullconv serve``. The extra ``serve`` installs what it needs; docs/serve.md is its page."""
