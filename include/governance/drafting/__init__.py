"""A model's folder, drafted from its data: ``governance new``.

:mod:`profile` looks at every column; :mod:`outcome` finds what is to be learnt, :mod:`attributes` what is protected,
:mod:`parts` what may be a feature and what may not; :mod:`contract` and :mod:`writing` put it into files, and
:mod:`folder` holds the draft to ``governance check`` and to its own contract before it is there.

A draft decides nothing for a person. What the data cannot tell is marked ``decide:``, and what could hurt people (a
protected attribute, a leak, an identifier, personal data) is no feature until a person makes it one.

Not guaranteed: that names mean what they seem to. A column ``x7`` may hold anybody's religion.
"""
