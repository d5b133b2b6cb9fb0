"""From rows to a signed model: the split, the folder's own ``fit`` in its own process, the files, the alternatives.

In the order in which the data meet them: ``split`` says which rows judge; ``sandbox`` (with ``child``, which runs on
the other side) calls the folder's ``train.fit`` with training rows only; ``skopsfile`` and ``artifacts`` turn what it
returned into files that are loaded without running any code; ``candidate`` puts these together; ``alternatives``
searches for a less discriminatory one; ``tracking`` records all of it in MLflow.
"""
