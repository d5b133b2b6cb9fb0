"""Is this folder right? Every fault of a model's folder at once, each with file, line, and what to write instead.

The shapes of files are :mod:`governance.yamlfile`'s and :mod:`governance.catalog`'s; here is what needs more than one
file to know: a leak among the features, a limit on the wrong side, a role that nobody can fill. Nothing of the folder
is run: ``train.py`` is parsed, never imported.

Not found here: what only the data or a training run can show (``governance try`` does).
"""

from governance.check.folder import Findings, check_model, examine, stray_folders

__all__ = ["Findings", "check_model", "examine", "stray_folders"]
