"""Documents made from evidence: the model card, the charts, the page of failing rows."""
