"""Pure functions that turn arrays into measurements and never know a threshold: one file a family.

A family is a module with one public function ``measure_<family>`` that returns a list of
:class:`governance.records.Measurement`. Inside it each measure is a function of its own, named like the measurement
(``performance.accuracy`` comes from the function ``accuracy``), whose docstring states formula, source, ideal value
and limits: what people read about a measure is written beside the code that computes it.

What all families promise:

* A measure that cannot be computed has no value and says why; NaN and infinity never leave.
* Input that no measure could use (arrays of unequal length, labels other than 0 and 1) is an error, not a number.
* The same rows in another order, or under other names of groups, give the same numbers: what is random has a fixed
  seed, and no draw depends on the order of rows or on names.
* Favourable is 1 and unfavourable is 0, in labels and in predictions; whoever calls translates.

``intervals`` holds the uncertainty, ``confusion`` the counts that performance and fairness have in common.
"""
