"""The paper's tables, figures and claims as experiments (``fullconv paper``), and its story in minutes (``fullconv demo``)."""
