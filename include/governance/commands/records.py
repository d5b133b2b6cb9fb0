"""The commands that ask the ledger about a model: ``evidence``, ``permit`` and ``live``."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from governance.catalog import People, find_spec, model_folders, names_of, people_of
from governance.check.wording import did_you_mean
from governance.commands import verdicts
from governance.commands.answer import NO, YES, Answer, line, table
from governance.errors import InputError, NotPermittedError, RefusedError, TamperedError
from governance.keys import PublicKeys
from governance.ledger.log import Entry, Ledger
from governance.records import Measurement, Verdict
from governance.reports import words
from governance.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from governance.release.history import Live
    from governance.release.loading import Permitted

Json = dict[str, Any]


def open_ledger(settings: Settings) -> Ledger:
    """Return the ledger of this process's identity.

    Raises:
        InputError: None is configured.
    """
    return Ledger(settings.require("ledger_url"))


def expect_known(settings: Settings, ledger: Ledger, model: str) -> None:
    """Refuse a name that is no model's, now or ever: *nothing serves* would be a wrong answer to a typing error.

    Raises:
        InputError: There is no such folder, and the ledger knows no such model.
    """
    known = [folder.name for folder in model_folders(settings)]
    if model not in known and not ledger.find(subject=model, limit=1):
        remedy = did_you_mean(model, known, f"Known: {', '.join(known)}.")
        raise InputError(f"Expected the name of a model, found {model!r}. {remedy}")


# --- evidence ------------------------------------------------------------------------------------------------------


def evidence(settings: Settings, model: str, version: str | None, attempt: int | None, digest_only: bool) -> Answer:
    """Answer what was signed: of a version, else of the one that serves, else of the last that was judged."""
    from governance.review.evidence import digest_of

    ledger, people = open_ledger(settings), people_of(settings)
    entry = _evidence_entry(ledger, model, version, attempt)
    document, recorded = entry.data["evidence"], entry.data["digest"]
    found = digest_of(document)
    if found != recorded:
        raise TamperedError(f"Expected evidence {recorded[:16]}… in entry {entry.seq}, found {found[:16]}….")
    if digest_only:
        return Answer({"digest": recorded}, lambda out: line(out, recorded))
    signed = [one.data for one in ledger.find(kind="decision", subject=model) if _over(one, recorded)]
    permit = ledger.get(f"permit:{recorded}")
    answer = {
        "digest": recorded,
        "entry": entry.seq,
        "at": entry.at.isoformat(),
        "evidence": document,
        "decisions": signed,
        "permit": permit.data["permit"] if permit else None,
        "findings": _findings(settings, ledger, model),
    }
    return Answer(answer, lambda out: _show_evidence(out, answer, people))


def _findings(settings: Settings, ledger: Ledger, model: str) -> list[Json]:
    """Return what versions of a model were approved with, and whether it was mended."""
    from governance.review import findings

    now = datetime.now(UTC)
    try:
        keys = PublicKeys.from_folder(settings.public_keys)
    except InputError:  # without keys nothing that closes a finding can be verified, so each shows as open
        keys = PublicKeys({})
    known = findings.of_model(ledger, model, keys)
    return [{**one.to_dict(), "overdue": one.is_overdue(now)} for one in known]


def _over(entry: Entry, digest: str) -> bool:
    return bool(entry.data["decision"]["evidence"] == digest)


def _evidence_entry(ledger: Ledger, model: str, version: str | None, attempt: int | None) -> Entry:
    from governance.review.entries import champion_entry, evidence_entry

    if version is None and attempt is None and (serving := champion_entry(ledger, model)):
        return evidence_entry(ledger, model, serving.data["evidence"])
    for entry in ledger.backwards("evidence", model):
        said = entry.data["evidence"]["model"]
        if version in (None, said["version"]) and attempt in (None, said["attempt"]):
            return entry
    wanted = f"{model} {version}" if version else model
    raise InputError(f"Expected evidence of {wanted} in the ledger, found none. Run govern_{model}.")


def _show_evidence(out: "Console", answer: Json, people: People) -> None:
    document = answer["evidence"]
    model, code, data = document["model"], document["code"], document["data"]
    facts = {
        "evidence": answer["digest"],
        "judged": f"{answer['at'][:16]} (entry {answer['entry']})",
        "model": f"{model['name']} {model['version']}, attempt {model['attempt']}, tier {model['tier']}",
        "purpose": document["spec"]["purpose"],
        "data": f"{data['source']}, {data['rows']:,} rows",
        "snapshot": data["snapshot"],
        "artifact": document["artifact"]["manifest"],
        "code": f"commit {code['commit'] or 'unknown'}, digest {code['digest'][:12]}",
        "policy": f"{document['policy']['version']}, digest {document['policy']['digest'][:12]}",
        "started by": people.name(document["involved"]["started_by"]),
    }
    _show_facts(out, facts)
    out.print()
    measured = [Measurement.from_dict(one) for one in document["measurements"]]
    verdicts.show(out, Verdict.from_dict(document["verdict"]), names_of(people), measured)
    out.print()
    _show_signatures(out, [one["decision"] for one in answer["decisions"]], people)
    for finding in answer["findings"]:
        state = "closed" if finding["closed_by"] else "overdue" if finding["overdue"] else "open"
        said = words.finding(finding["text"], finding["owner"], finding["due"], names_of(people))
        line(out, f"Finding {finding['id']} of {finding['version']}, {state}: {said}")


def _show_facts(out: "Console", facts: Json) -> None:
    facts_table = table("", "")
    facts_table.show_header = False
    for name, value in facts.items():
        facts_table.add_row(name, str(value))
    out.print(facts_table)


def _show_signatures(out: "Console", decisions: list[Json], people: People) -> None:
    if not decisions:
        out.print("Nobody has signed it.")
    for one in decisions:
        word = "approved" if one["answer"] == "approve" else "rejected"
        at = one["decided_at"][:16].replace("T", " ")
        out.print(f"{people.name(one['person'])} {word} as {people.role_title(one['role'])}, {at}")


# --- permit --------------------------------------------------------------------------------------------------------


def permit(settings: Settings, model: str, version: str | None) -> Answer:
    """Answer whether a version is permitted now, verified from the bytes, and by whom."""
    from governance.release.history import permitted

    ledger = open_ledger(settings)
    expect_known(settings, ledger, model)
    try:
        found = permitted(settings, ledger, model, version)
    except RefusedError as error:
        kind = "not permitted" if isinstance(error, NotPermittedError) else "tampered"
        document = {"model": model, "version": version, "permitted": False, "kind": kind, "reason": str(error)}
        reason = str(error)
        return Answer(document, lambda out: line(out, f"Not permitted. {reason}", style="bold red"), NO)
    answer = _permit_document(found)
    return Answer(answer, lambda out: _show_permit(out, answer, people_of(settings)))


def _permit_document(found: "Permitted") -> Json:
    verified = found.permit
    return {
        "model": verified.model,
        "version": verified.version,
        "permitted": True,
        "registry_version": verified.registry_version,
        "environment": verified.environment,
        "evidence": verified.evidence_digest,
        "manifest": verified.manifest,
        "issued_at": verified.issued_at.isoformat(),
        "expires_at": verified.expires_at.isoformat(),
        "verdict": str(verified.verdict.outcome),
        "decisions": [one.to_dict() for one in verified.decisions],
        "break_glass": verified.emergency.to_dict() if verified.emergency else None,
        "standing_approval": verified.standing.to_dict() if verified.standing else None,
    }


def _show_permit(out: "Console", answer: Json, people: People) -> None:
    out.print(f"Permitted: {answer['model']} {answer['version']}, verified from the bytes.", style="bold green")
    facts = {
        "valid": f"{answer['issued_at'][:16]} to {answer['expires_at'][:16]}, for {answer['environment']}",
        "verdict": answer["verdict"],
        "evidence": answer["evidence"],
        "artifact": answer["manifest"],
    }
    _show_facts(out, facts)
    from governance.review.permit import word_for_missing_signatures

    if instead := word_for_missing_signatures(answer, people):
        line(out, instead, style="bold red" if answer["break_glass"] else "bold")
    _show_signatures(out, [one["decision"] for one in answer["decisions"]], people)


# --- waivers -------------------------------------------------------------------------------------------------------


def waivers(settings: Settings, model: str) -> Answer:
    """Answer which rules give way for a model, until when, why, and on whose word."""
    from governance.policy import load_policy
    from governance.review.waiver_desk import involved_of, views

    ledger, people = open_ledger(settings), people_of(settings)
    expect_known(settings, ledger, model)
    spec = find_spec(settings, model)
    policy, keys = load_policy(spec.folder, settings.policies), PublicKeys.from_folder(settings.public_keys)
    found = [one.to_dict() for one in views(ledger, keys, policy, people, involved_of(spec, people))]
    for one in found:
        del one["may_sign"], one["why_not"]  # nobody is logged in here
    return Answer({"model": model, "waivers": found}, lambda out: _show_waivers(out, model, found))


def _show_waivers(out: "Console", model: str, found: list[Json]) -> None:
    if not found:
        out.print(f"No waiver was ever proposed for {model}.")
        return
    rows = table("state", "rule", "until", "signed", "waiver")
    for one in found:
        signed = ", ".join(f"{each['person_name']} ({each['role']})" for each in one["signed"])
        missing = ", ".join(one["missing"])
        by = words.slice_words(one["slice"] or {})
        who = f"{signed or 'nobody'}; missing: {missing}" if missing else signed or "nobody"
        rows.add_row(
            one["status"], f"{one['title']}, {by}" if by else one["title"], one["until"], who, one["digest"][:12]
        )
    out.print(rows)
    for one in found:
        line(out, f"{one['digest'][:12]}: {one['reason']}" + (f" Void: {one['fault']}." if one["fault"] else ""))


# --- standing approvals --------------------------------------------------------------------------------------------


def standing(settings: Settings, model: str) -> Answer:
    """Answer which standing approvals a model has: within which limits, until when, on whose word, and for what.

    The exit code says whether one is in force.
    """
    from governance.policy import load_policy
    from governance.review.standing_approval_desk import Office, views

    ledger, people = open_ledger(settings), people_of(settings)
    expect_known(settings, ledger, model)
    spec, keys = find_spec(settings, model), PublicKeys.from_folder(settings.public_keys)
    office = Office(ledger, keys, spec, load_policy(spec.folder, settings.policies), people)
    found = [one.to_dict() for one in views(office)]
    for one in found:
        del one["may_sign"], one["may_reject"], one["why_not"]  # nobody is logged in here
    document = {"model": model, "standing_approvals": found}
    in_force = any(one["status"] == "in force" for one in found)
    return Answer(document, lambda out: _show_standing(out, model, found), YES if in_force else NO)


def _show_standing(out: "Console", model: str, found: list[Json]) -> None:
    if not found:
        out.print(f"No standing approval was ever proposed for {model}: people sign each version.")
        return
    rows = table("state", "after", "let through", "until", "signed", "standing approval")
    for one in found:
        signed = ", ".join(f"{each['person_name']} ({each['role']})" for each in one["signed"]) or "nobody"
        missing = f"; missing: {', '.join(one['missing'])}" if one["missing"] else ""
        let = f"{len(one['used'])} of {one['releases']}"
        rows.add_row(one["status"], one["baseline"], let, one["until"], f"{signed}{missing}", one["digest"][:12])
    out.print(rows)
    for one in found:
        margins = ", ".join(f"{name} {margin:g}" for name, margin in one["margins"].items())
        line(out, f"{one['digest'][:12]}: {one['reason']} Margins: {margins}.")
        if one["fault"]:
            line(out, f"{one['digest'][:12]} is void: {one['fault']}.")


# --- live ----------------------------------------------------------------------------------------------------------


def live(settings: Settings, model: str, at: str | None) -> Answer:
    """Answer what served at a moment, who approved it, on what evidence, and trained on which data."""
    from governance.release import history

    moment = _moment(at) if at else None
    ledger = open_ledger(settings)
    expect_known(settings, ledger, model)
    found = history.live(ledger, model, moment, people_of(settings))
    document = {
        "model": model,
        "at": moment.isoformat() if moment else None,
        "live": found.to_dict() if found else None,
        "stopped": None,
    }
    when = f"at {at}" if at else "now"
    if found is None:
        stopped = history.stopped(ledger, model, moment)
        document["stopped"] = {"at": stopped.at.isoformat(), "reason": stopped.data["reason"]} if stopped else None
        why = f" It was stopped on {stopped.at:%Y-%m-%d %H:%M} UTC: {stopped.data['reason']}" if stopped else ""
        return Answer(document, lambda out: line(out, f"Nothing of {model} served {when}.{why}"), NO)
    return Answer(document, lambda out: _show_live(out, found, when, people_of(settings)), YES)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"Expected a time such as 2026-03-03T14:00 (UTC), found {text!r}.") from error


def _show_live(out: "Console", found: "Live", when: str, people: People) -> None:
    out.print(f"{found.model} {found.version} {'serves' if when == 'now' else 'served'} {when}.", style="bold")
    facts = {
        "since": f"{found.since:%Y-%m-%d %H:%M} UTC (entry {found.entry}, {found.by})",
        "until": f"{found.until:%Y-%m-%d %H:%M} UTC" if found.until else "it still does",
        "approved by": ", ".join(f"{one.name} ({people.role_title(one.role)})" for one in found.signatures)
        or _approved_in_advance(found),
        "evidence": found.evidence,
        "artifact": found.manifest,
        "trained on": found.source,
        "snapshot": found.snapshot,
        "permit until": f"{found.permit_expires_at:%Y-%m-%d %H:%M} UTC",
    }
    _show_facts(out, facts)
    if found.break_glass:
        line(out, f"Not all signatures were given. {found.break_glass['sentence']}", style="bold red")
    if found.standing_approval:
        line(out, f"Nobody signed this evidence. {found.standing_approval['sentence']}", style="bold")


def _approved_in_advance(found: "Live") -> str:
    names = (found.standing_approval or {}).get("names", [])
    return f"{', '.join(names)}, in advance" if names else "nobody"
