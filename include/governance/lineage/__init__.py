"""Lineage, kept: what tasks read and wrote, in a durable outbox, and from there to Marquez.

``keep`` takes an event and never makes a task wait: into the ``outbox`` (a table), or into the ``spool`` (files) while
the database is away. ``delivery`` sends the outbox to ``marquez``, in order and at least once. What is said in an event
stands where the work is done: ``governance.pipeline.datasets``.
"""
