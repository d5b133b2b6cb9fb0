"""``docker-compose.yaml`` is one that Compose takes, and says nothing that the repository does not run."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest

from governance.settings import ROOT
from stack import production
from stack.databases import ALL_LOGINS
from stack.jobs import JOBS
from stack.keys import KEYS
from stack.layout import LEDGER_ROLES
from stack.production import ADDRESSES, SERVICES, Production
from stack.secrets_folder import SECRETS
from tests.production import compose_file, dockerfile
from tests.production.compose_file import MissingVariableError, interpolate

SCHEMA = json.loads((ROOT / "tests" / "production" / "schema" / "compose-spec.json").read_text())
THIRD = {"postgres", "redis", "s3", "proxy", "marquez", "marquez-web", "prometheus", "grafana"}
"""Images of others."""

COMPOSE = compose_file.load({"SECRETS_FOLDER": "/secrets"})
OURS = {name: service for name, service in COMPOSE["services"].items() if name not in THIRD}
ONCE = {name for name in OURS if name in JOBS}


class Recording(Production):
    """A layout that notes which secrets a service asks for."""

    asked: ClassVar[list[str]] = []

    def secret(self, name: str, make: Any = None) -> str:
        self.asked.append(name)
        return f"word-of-{name}"

    def private_key(self, name: str) -> Path:
        self.asked.append(f"key-{name}")
        return super().private_key(name)

    def secret_file(self, name: str) -> Path:
        self.asked.append(name)
        return super().secret_file(name)


def recording() -> Recording:
    plain = Production.of({})
    layout = Recording(**{field.name: getattr(plain, field.name) for field in fields(plain)})
    object.__setattr__(layout, "asked", [])
    return layout


def asked_by(name: str) -> set[str]:
    layout = recording()
    SERVICES[name](layout)
    return set(layout.asked)


def secrets_of(service: dict[str, Any]) -> set[str]:
    return set(service.get("secrets", ()))


class TestSpecification:
    def test_the_file_is_one_that_compose_takes(self):
        jsonschema.Draft202012Validator(SCHEMA).validate(COMPOSE)

    def test_the_schema_refuses_what_is_none(self):
        broken = {**COMPOSE, "services": {**COMPOSE["services"], "redis": {"imaeg": "redis"}}}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(SCHEMA).validate(broken)

    def test_every_service_that_another_waits_for_is_there_and_can_become_what_is_waited_for(self):
        for name, service in COMPOSE["services"].items():
            for needed, how in service.get("depends_on", {}).items():
                assert needed in COMPOSE["services"], (name, needed)
                healthy = "healthcheck" in COMPOSE["services"][needed]
                expected = "service_healthy" if healthy else "service_completed_successfully"
                assert how["condition"] == expected, (name, needed)
                assert healthy or needed in ONCE

    def test_nothing_waits_for_itself(self):
        waits = {name: set(service.get("depends_on", ())) for name, service in COMPOSE["services"].items()}
        while waits:
            free = {name for name, needed in waits.items() if not needed & waits.keys()}
            assert free, f"a circle among {sorted(waits)}"
            waits = {name: needed for name, needed in waits.items() if name not in free}

    @pytest.mark.parametrize("part", ["volumes", "networks", "secrets"])
    def test_what_is_declared_is_used_and_what_is_used_is_declared(self, part):
        used: set[str] = set()
        for service in COMPOSE["services"].values():
            named = [entry.partition(":")[0] for entry in service.get(part, ())]
            used |= {name for name in named if not name.startswith((".", "/"))}
        assert used == set(COMPOSE[part])

    def test_files_that_are_mounted_are_there(self):
        mounted = {
            entry.partition(":")[0] for service in COMPOSE["services"].values() for entry in service.get("volumes", ())
        }
        assert [path for path in mounted if path.startswith("./") and not (ROOT / path).exists()] == []


class TestVariables:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("$A-${A}", "a-a"),
            ("${B:-b}", "b"),
            ("${EMPTY:-b}${EMPTY-b}", "b"),
            ("${A:+set}${B:+set}", "set"),
            ("${B:-${A}}", "a"),
            ("$$A", "$A"),
            ('"$$(cat /x)"', '"$(cat /x)"'),
        ],
    )
    def test_they_are_filled_in_as_the_specification_says(self, text, expected):
        assert interpolate(text, {"A": "a", "EMPTY": ""}) == expected

    def test_without_the_folder_of_secrets_nothing_starts_and_the_variable_is_named(self):
        with pytest.raises(MissingVariableError, match=r"SECRETS_FOLDER.*make secrets"):
            compose_file.load({})

    def test_each_stands_in_the_example_of_an_env_file(self):
        example = (ROOT / ".env.example").read_text()
        assert [name for name in compose_file.named_variables() if not re.search(rf"^# {name}=", example, re.M)] == []

    def test_none_of_them_carries_a_secret(self):
        for name in compose_file.named_variables() - {"SECRETS_FOLDER"}:
            assert not re.search("PASSWORD|SECRET|TOKEN|KEY", name)


class TestImages:
    def test_each_is_pinned_to_a_version(self):
        for name in THIRD:
            assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-[a-z0-9]+)?", COMPOSE["services"][name]["image"]), (
                name
            )

    def test_ours_is_built_here_once(self):
        assert {service["image"] for service in OURS.values()} == {"governance:latest"}
        assert {service["build"] for service in OURS.values()} == {"."}

    def test_postgresql_is_one_that_the_ledger_takes(self):
        major = int(COMPOSE["services"]["postgres"]["image"].partition(":")[2].partition(".")[0])
        assert major >= 16

    def test_redis_is_of_the_last_series_under_a_free_licence(self):
        assert COMPOSE["services"]["redis"]["image"].startswith("redis:7.2.")


class TestCommands:
    def test_each_is_a_service_or_a_job_that_is_there(self):
        words = {(service["command"] or service["entrypoint"][-1:])[0] for service in OURS.values()}
        assert words == set(SERVICES) | set(JOBS)

    @pytest.mark.parametrize("name", SERVICES)
    def test_a_service_may_read_what_it_asks_for_and_nothing_else(self, name):
        containers = [service for service in OURS.values() if name in (service["command"] or service["entrypoint"])]
        assert containers
        assert [secrets_of(service) for service in containers] == [asked_by(name)] * len(containers)

    def test_addresses_are_those_of_services(self):
        for places in ADDRESSES.values():
            for place in places.split(","):
                assert place.partition(":")[0] in COMPOSE["services"]

    def test_a_release_waits_for_every_replica_and_the_proxy_passes_on_to_each(self):
        replicas = [name for name, service in OURS.items() if service["command"] == ["serving"]]
        assert ADDRESSES["serving"] == ",".join(f"{name}:8001" for name in replicas)
        proxy = (ROOT / "deploy" / "nginx.conf").read_text()
        assert re.findall(r"server (\S+:\d+)", proxy) == ADDRESSES["serving"].split(",")
        prometheus = (ROOT / "deploy" / "prometheus.yml").read_text()
        assert all(place in prometheus for place in [*ADDRESSES["serving"].split(","), ADDRESSES["airflow"]])

    def test_replicas_keep_waiting_predictions_apart(self):
        folders = [OURS[name]["volumes"][-1].partition(":")[0] for name in ("serving-1", "serving-2")]
        assert len(set(folders)) == 2


class TestIdentities:
    def test_the_review_key_is_in_the_server_of_the_pages_alone(self):
        assert [name for name, service in COMPOSE["services"].items() if "key-review" in secrets_of(service)] == [
            "airflow"
        ]

    def test_the_witness_key_is_in_the_witness_alone(self):
        assert [name for name, each in COMPOSE["services"].items() if "key-witness" in secrets_of(each)] == ["witness"]

    def test_a_private_key_is_copied_to_memory_that_its_user_alone_can_read(self):
        for service in OURS.values():
            has_key = any(secret.startswith("key-") for secret in secrets_of(service))
            assert ("tmpfs" in service) == has_key

    def test_model_files_are_signed_by_workers_alone(self):
        assert [name for name, service in COMPOSE["services"].items() if "key-artifact" in secrets_of(service)] == [
            "worker"
        ]

    def test_who_can_forge_a_login_is_the_one_that_makes_them(self):
        for secret in ("jwt-core", "airflow-session"):
            assert [name for name, service in COMPOSE["services"].items() if secret in secrets_of(service)] == [
                "airflow"
            ]

    def test_a_worker_knows_neither_airflows_database_nor_what_tasks_are_admitted_with(self):
        assert secrets_of(OURS["worker"]) == {"postgres-pipeline", "key-artifact", "mlflow-pipeline", "redis"}

    def test_the_scoring_service_has_a_database_role_of_its_own_and_public_keys(self):
        for name in ("serving-1", "serving-2"):
            assert secrets_of(OURS[name]) == {"postgres-serving", "mlflow-serving", "label-tokens"}
            assert any("public-keys:ro" in volume for volume in OURS[name]["volumes"])

    def test_the_two_api_servers_have_different_secrets(self):
        assert {"jwt-core"} == {s for s in secrets_of(OURS["airflow"]) if s.startswith("jwt")}
        assert {"jwt-execution"} == {s for s in secrets_of(OURS["execution"]) if s.startswith("jwt")}

    def test_every_role_of_a_database_has_a_password_and_the_job_that_makes_roles_knows_it(self):
        roles = {role for roles in ALL_LOGINS.values() for role in roles}
        assert set(LEDGER_ROLES) <= roles
        assert secrets_of(OURS["databases"]) == {f"postgres-{role}" for role in (*roles, "postgres")}

    def test_jobs_may_read_what_they_need(self):
        assert secrets_of(OURS["airflow-tables"]) == {"postgres-airflow", "airflow-fernet", "logins"}
        assert secrets_of(OURS["mlflow-logins"]) == {f"mlflow-{login}" for login in production.MLFLOW_LOGINS}
        assert secrets_of(OURS["mlflow-bucket"]) == {"s3-mlflow"}

    def test_the_superuser_is_known_to_postgresql_and_to_jobs_that_end(self):
        known = [name for name, service in COMPOSE["services"].items() if "postgres-postgres" in secrets_of(service)]
        assert known == ["postgres", "databases", "backup", "restore"]

    def test_make_secrets_makes_every_secret(self):
        made = {*SECRETS, *(f"key-{name}" for name in KEYS), "logins", "s3-identities"}
        assert made == set(COMPOSE["secrets"])

    def test_secrets_are_files_and_stand_in_no_environment(self):
        for name, secret in COMPOSE["secrets"].items():
            assert secret == {"file": f"/secrets/{name}"}
        for name, service in COMPOSE["services"].items():
            for variable, value in service.get("environment", {}).items():
                assert not re.search("PASSWORD|SECRET|TOKEN", variable) or value.startswith("/run/secrets/"), name


class TestContainers:
    def test_each_that_stays_says_whether_it_works_and_each_job_ends(self):
        for name, service in COMPOSE["services"].items():
            stays = name not in ONCE and name != "command-line"
            assert ("healthcheck" in service) == stays, name
            assert (service["restart"] == "unless-stopped") == stays, name

    def test_each_has_limits(self):
        for name, service in COMPOSE["services"].items():
            assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name

    def test_ours_run_without_rights(self):
        for service in OURS.values():
            assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
            assert "user" not in service, "the image's own, which is not root"

    def test_only_these_are_reached_from_outside_and_marquez_from_this_machine_alone(self):
        published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
        assert published == {
            "airflow": ["8080:8080"],
            "proxy": ["8001:8080"],
            "grafana": ["3000:3000"],
            "marquez-web": ["127.0.0.1:3001:3000"],
        }
        assert COMPOSE["networks"]["inside"] == {"internal": True}
        outside = {name for name, service in COMPOSE["services"].items() if "outside" in service["networks"]}
        assert outside == {*published, "worker"}

    def test_a_laptop_can_leave_out_what_others_do_not_need(self):
        profiles = {name: service.get("profiles") for name, service in COMPOSE["services"].items()}
        optional = {name: given for name, given in profiles.items() if given}
        assert optional == {
            "lineage": ["lineage"],
            "marquez": ["lineage"],
            "marquez-web": ["lineage"],
            "prometheus": ["metrics"],
            "grafana": ["metrics"],
            "command-line": ["tools"],
            "backup": ["tools"],
            "restore": ["tools"],
        }
        for name, service in COMPOSE["services"].items():
            for needed in service.get("depends_on", ()):
                assert not profiles[needed] or profiles[needed] == profiles[name]

    def test_folders_that_are_mounted_belong_to_the_user_of_the_image(self):
        [making] = [line for line in dockerfile.of("final", "RUN") if "chown" in line]
        for service in OURS.values():
            for entry in service["volumes"]:
                folder = entry.split(":")[1]
                if folder.startswith("/var/lib/governance/"):
                    assert folder.rpartition("/")[2] in making.partition(" in ")[2].partition(";")[0].split()
