"""Coordinate maps of layers and networks, in exact fractions: the one place where alignment is computed.

``axis`` is the calculus of one layer on one axis, ``graph`` a whole network, ``trace`` the way from a torch module to it.
``axis`` and ``graph`` know no torch.
"""
