"""How the pipeline asks the API server for what it gets by rule alone: a question that its key has signed.

The signature gives nothing away that the rule does not give: it keeps strangers from asking. The same question twice
has the same answer, so that one that is overheard and repeated does nothing.
"""

from typing import TYPE_CHECKING

from governance.errors import RefusedError, UnavailableError
from governance.keys import PublicKeys, Signer

if TYPE_CHECKING:
    import httpx

PURPOSE = "standing_approval_asked"
KEY = "artifact"
SECONDS = 30.0


def for_standing_approval(airflow_url: str, signer: Signer, model: str, version: str, evidence: str) -> str:
    """Ask for the permit of a candidate that a standing approval covers.

    Args:
        airflow_url: Airflow's API server.
        signer: The pipeline's key.
        model: The model.
        version: The candidate's semantic version.
        evidence: Digest of its evidence.

    Returns:
        On whose word it is permitted, in a sentence.

    Raises:
        RefusedError: None covers it: people sign.
        UnavailableError: The API server, the ledger or Airflow's database does not answer; asking again is safe.
    """
    import httpx

    url = f"{airflow_url.rstrip('/')}/governance/api/requests/{model}/{version}/standing-approval"
    body = {"evidence": evidence, "signature": signer.sign(_question(model, version, evidence), PURPOSE)}
    try:
        answer = httpx.post(url, json=body, timeout=SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unavailable(url, str(error) or type(error).__name__) from error
    if answer.status_code >= 500:
        raise _unavailable(url, _said(answer))
    if not answer.is_success:
        raise RefusedError(_said(answer))
    return str(answer.json()["sentence"])


def expect_signed(keys: PublicKeys, model: str, version: str, evidence: str, signature: str) -> None:
    """Check that the pipeline asks.

    Raises:
        TamperedError: Another key signed, or another question.
    """
    keys.verify(_question(model, version, evidence), signature, PURPOSE, KEY)


def _question(model: str, version: str, evidence: str) -> dict[str, str]:
    return {"model": model, "version": version, "evidence": evidence}


def _said(answer: "httpx.Response") -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.reason_phrase}"


def _unavailable(url: str, found: str) -> UnavailableError:
    return UnavailableError(
        f"Expected Airflow's API server to answer {url}, found: {found} Start it, or correct GOVERNANCE_AIRFLOW_URL, "
        f"then clear this task. People can sign meanwhile."
    )
