"""Rules that are code: a Rego policy, or a Python function in the model's folder.

They are run once, where the evidence is put together (:mod:`governance.rules.evaluate`), in a process of their own
(:mod:`governance.rules.child`). What they answered is a fact like any other: signed with the evidence, judged by
:mod:`governance.policy`, and never run again by whoever verifies a permit (docs/decisions/0014).
"""
