"""Let go of predictions that every policy allows to go: labels and protected values of that age with them."""

from governance.catalog import model_folders
from governance.policy import load_policy
from governance.predictions.retention import Retention, Retired, check, retain
from governance.settings import Settings


def kept(settings: Settings) -> dict[str, Retention]:
    """Return how long each governed model's predictions stay, by its policy.

    Raises:
        FaultyFileError: A policy cannot be read: nothing may go while it is not known what must stay.
        RefusedError: A policy keeps less than a regulation asks for.
    """
    found = {}
    for folder in model_folders(settings):
        said = load_policy(folder, settings.policies).predictions
        found[folder.name] = Retention(said.days, tuple(said.regulations))
        check(folder.name, found[folder.name])
    return found


def let_go(settings: Settings) -> Retired:
    """Let go of what is older than its model's policy keeps; of models without a folder, than the longest floor.

    Raises:
        FaultyFileError: As :func:`kept`; nothing was let go.
        RefusedError: As :func:`kept`; nothing was let go.
        UnavailableError: The database does not answer.
    """
    by_model = kept(settings)
    return retain(settings.require("ledger_url"), by_model)
