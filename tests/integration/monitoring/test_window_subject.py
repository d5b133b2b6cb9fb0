"""Where model.yaml names a subject, windows are committed to row by row, and lose what was asked about a person."""

from governance.data.erasures import as_kept
from governance.data.snapshots import verify
from governance.monitoring import collect
from governance.monitoring.watch import WINDOW
from governance.subjects.erase import erase
from governance.subjects.find import Person
from tests.integration.monitoring.conftest import Watched, usual
from tests.unit.release.permitted_world import MODEL, SAM


def test_a_window_is_looked_at_as_before_and_can_lose_the_rows_of_a_request(watched: Watched):
    spec = watched.house.world.spec.document.path
    spec.write_text(
        spec.read_text().replace("contract: contract.json}", "contract: contract.json, subject: applicant}")
    )
    watched.house.world.commit("Name the subject")
    champion = watched.release()
    theirs = watched.ask(usual(5, seed=9), champion)
    watch = watched.watch_of(usual(), champion)
    collect.collect(watch)
    window = watch.need(WINDOW)
    assert window.data["snapshot"]["subject"] == collect.REQUEST

    person = Person("A-1", (theirs,))
    erase(watch.run.settings, watch.ledger, person, [MODEL], reason="Asked for on 3 March.", actor=SAM)

    kept = as_kept(watch.ledger, MODEL, window.data["snapshot"])
    verify(kept)
    assert len(kept.missing) == 5
    assert theirs not in set(collect.window_of(watch.ledger, window)[collect.REQUEST])
