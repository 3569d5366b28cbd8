"""The region-based baselines of table 3: proposals, the two methods, and what they cost."""
