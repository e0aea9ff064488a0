"""What is deployed is what its tools take: linters, schemas, and the words of Dagster itself."""

import importlib
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import helm_python
import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type

from s3sync_dagster import __version__
from s3sync_dagster.cli.commands import run
from s3sync_dagster_tests.deploy.compose_file import DEPLOY, services

SCRIPTS = Path(sys.executable).parent
HELM = DEPLOY / "helm"
CHART = HELM / "s3sync"
DOCS = (DEPLOY.parent / "docs" / "deployment.md").read_text("utf-8")
CLOSED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}


def lint(program, *arguments):
    done = subprocess.run(
        [SCRIPTS / program, *map(str, arguments)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def rendered(**values):
    """What Helm itself makes of the chart, by the name of each template."""
    made = helm_python.Chart.load(str(CHART)).render(values, name="s3sync", namespace="s3sync")
    return {Path(name).name: text for name, text in made.items() if text.strip()}


def manifests():
    return [one for text in rendered().values() for one in yaml.safe_load_all(text) if one]


def test_the_image_is_what_hadolint_takes():
    lint("hadolint", DEPLOY / "Dockerfile")


def test_the_image_has_no_moving_tag_and_no_root():
    text = (DEPLOY / "Dockerfile").read_text()
    [base] = re.findall(r"^ARG PYTHON=(\S+)$", text, re.MULTILINE)
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base)
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE) == ["10001:10001"]


def test_the_image_dumps_the_postgres_that_stands_beside_it():
    image = (DEPLOY / "Dockerfile").read_text()
    [debian] = re.findall(r"^ARG PYTHON=\S+-slim-(\w+)$", image, re.MULTILINE)
    client = {"bookworm": 15, "trixie": 17}[debian]  # of Debian's own postgresql-client
    parts = (DEPLOY / "compose.yaml").read_text()
    [server] = re.findall(r"image: postgres:(\d+)", parts)
    assert client >= int(server)


def test_a_hash_of_a_password_is_asked_for_without_a_terminal():
    """With one, what Caddy asks comes out with the hash; without ``-i`` nobody can answer it."""
    said = DOCS + (DEPLOY / "compose.yaml").read_text()
    asked = re.findall(r"docker run (.*?)caddy:\S+ caddy hash-password", said)
    assert asked == ["--rm -i "] * 2


def test_what_other_sites_pages_send_is_refused_before_dagster():
    """A browser that has signed in sends the password with whatever any page has it ask."""
    site = (DEPLOY / "Caddyfile").read_text().partition("{$S3SYNC_DAGSTER_HOST")[2]
    matchers = {
        name: [line.strip() for line in body.strip().splitlines()]
        for name, body in re.findall(r"^\t@(\w+) \{\n(.*?)^\t\}", site, re.MULTILINE | re.DOTALL)
    }
    own = "https://{http.request.hostport}"
    assert matchers["origin"] == ["header Origin *", f"not header Origin {own}"]
    assert matchers["page"][0] == "header_regexp Sec-Fetch-Site ^(cross|same)-site$"
    followed = ["not {", "method GET HEAD", "header Sec-Fetch-Mode navigate"]
    assert matchers["page"][1:] == [*followed, "header Sec-Fetch-Dest document", "}"]
    assert matchers["form"] == ["not method GET HEAD", "not header Content-Type application/json*"]
    asked = 'expression `{http.request.uri.query} != ""`'
    assert matchers["link"] == ["path /graphql*", "method GET HEAD", asked]
    answers = re.findall(r'^\trespond @(\w+) "[^"]+" (\d+)$', site, re.MULTILINE)
    assert answers == [(name, "403") for name in matchers]
    assert len(re.findall("reverse_proxy", site)) == 1


def test_everything_that_the_image_copies_is_there_and_not_ignored():
    root = DEPLOY.parent
    let_in = [
        line.removeprefix("!")
        for line in (root / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    copied = re.findall(
        r"^COPY (?:--chmod=\d+ )?(?!--from)(.+) \S+$",
        (DEPLOY / "Dockerfile").read_text(),
        re.MULTILINE,
    )
    names = " ".join(copied).split()
    for name in names:
        assert (root / name).exists(), name
        assert name in let_in, name
    links = [path for path in (root / "s3sync_dagster").rglob("*") if path.is_symlink()]
    assert links, "the page of reasons"
    for link in links:
        assert str(link.resolve().relative_to(root)) in names, link


def test_yaml_is_what_yamllint_takes():
    lint("yamllint", "--strict", "-c", DEPLOY / ".yamllint", DEPLOY)


def test_the_compose_file_is_one():
    lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_no_secret_stands_in_the_compose_file_and_each_of_its_files_is_there():
    found = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for name, one in found["secrets"].items():
        assert one == {"file": f"./secrets/{name}"}
        assert name in DOCS
    for one in found["configs"].values():
        assert (DEPLOY / one["file"]).exists()
    for part in found["services"].values():
        words = json.dumps(part.get("environment", {}))
        assert "PASSWORD=" not in words
        assert not re.search(r"(KEY|PASSWORD|TOKEN)\"?: \"[^$/]", words)


@pytest.mark.parametrize("name", services())
def test_every_part_is_closed_and_has_a_check(name):
    part = services()[name]
    assert part["read_only"]
    assert part["cap_drop"] == ["ALL"]
    assert part["user"] == "10001:10001"
    assert part["security_opt"] == ["no-new-privileges:true"]
    assert name == "migrate" or part["healthcheck"]["test"][0] == "CMD"
    assert "ports" not in part, "people reach the proxy alone"


def test_the_daemon_waits_for_the_definitions():
    assert services()["daemon"]["depends_on"]["code-server"]["condition"] == "service_healthy"


ELSEWHERE = {
    "chroma": {"enabled": False},
    "settings": {"S3SYNC_CHROMA_URL": "https://chroma.example.org"},
    "api": {"storage": {"accessMode": "ReadWriteOnce", "className": "fast"}},
    "ingress": {"enabled": True, "className": "nginx", "annotations": {"a.example/b": "true"}},
}


LESS = pytest.param({"ingress": {"enabled": False}}, marks=pytest.mark.long)


@pytest.mark.parametrize("values", [{}, pytest.param(ELSEWHERE, marks=pytest.mark.long), LESS])
def test_the_chart_makes_what_kubernetes_takes(values, tmp_path):
    for name, text in rendered(**values).items():
        (tmp_path / name).write_text(text)
        lint("kubernetes-validate", "--strict", "--quiet", tmp_path / name)
    told = helm_python.lint(str(CHART), values, strict=True)
    assert [one for one in told["messages"] if "icon is recommended" not in one["error"]] == []


def test_what_the_values_say_is_made():
    here, elsewhere = rendered(), rendered(**ELSEWHERE)
    assert "S3SYNC_CHROMA_URL: http://s3sync-chroma:8000" in here["api.yaml"]
    assert "chroma.yaml" not in elsewhere
    assert 'S3SYNC_CHROMA_URL: "https://chroma.example.org"' in elsewhere["api.yaml"]
    assert ("Recreate" in here["api.yaml"], "Recreate" in elsewhere["api.yaml"]) == (False, True)
    assert "kind: Ingress" not in rendered(ingress={"enabled": False})["api.yaml"]


@pytest.mark.parametrize("wrong", [{"chrome": {"enabled": False}}, {"image": {"tag": "latest"}}])
def test_a_misspelt_value_and_a_moving_tag_are_refused(wrong):
    with pytest.raises(helm_python.HelmError):
        rendered(**wrong)
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(one["spec"]["template"]["spec"], id=one["metadata"]["name"])
        for one in manifests()
        if "template" in one.get("spec", {})
    ],
)
def test_every_pod_is_closed(pod):
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    for container in pod["containers"]:
        assert CLOSED.items() <= container["securityContext"].items()
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_parts_in_kubernetes_run_the_commands_of_the_compose_file():
    commands = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]["containers"][0]["command"]
        for one in manifests()
        if "template" in one.get("spec", {})
    }
    parts = services()
    assert commands["s3sync-api"] == parts["api"]["command"]
    assert commands["s3sync-migrate"] == parts["migrate"]["command"]
    here = " ".join(commands["s3sync-chroma"]).replace("/chroma", "/var/lib/s3sync/chroma")
    assert here.split() == parts["chroma"]["command"]
    values = yaml.safe_load((HELM / "dagster-values.yaml").read_text())
    [deployment] = values["dagster-user-deployments"]["deployments"]
    assert deployment["codeServerArgs"] == parts["code-server"]["command"][-4:]


def test_the_documents_tell_the_commands_of_the_parts():
    text = " ".join(DOCS.replace("\\\n", " ").split()).replace("127.0.0.1", "0.0.0.0")
    for name in ("code-server", "webserver", "daemon", "api"):
        assert " ".join(services()[name]["command"]) in text, name


def variables(value):
    """The names that a file of Dagster's instance takes from the environment."""
    if isinstance(value, dict):
        one = value.get("env")
        names = {one} if isinstance(one, str) and len(value) == 1 else set()
        return names.union(*map(variables, value.values()))
    return set().union(*map(variables, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("name", ["docker", "k8s", "celery"])
def test_dagster_itself_takes_what_launches_runs_and_keeps_logs(name, monkeypatch):
    """The classes are there, and take these settings: their own schemas say so."""
    found = yaml.safe_load((DEPLOY / f"dagster-{name}.yaml").read_text())
    for one in variables(found):
        monkeypatch.setenv(one, "redis://broker/0")
    parts = [part for part in found.values() if isinstance(part, dict) and "class" in part]
    assert parts
    for part in parts:
        kind = getattr(importlib.import_module(part["module"]), part["class"])
        schema = resolve_to_config_type(kind.config_type())
        done = process_config(schema, part.get("config", {}))
        assert done.success, done.errors
        assert not process_config(schema, part.get("config", {}) | {"misspelt": 1}).success


def test_a_celery_worker_takes_a_run_at_a_time_and_none_ahead(monkeypatch):
    from celery import Celery

    monkeypatch.setenv("S3SYNC_CELERY_BROKER", "redis://broker/0")
    monkeypatch.setenv("S3SYNC_CELERY_BACKEND", "redis://broker/1")
    told = runpy.run_path(str(DEPLOY / "celery" / "dagster_celery_config.py"))
    app = Celery("worker", set_as_current=False)
    known = set(app.conf)
    given = {name: value for name, value in told.items() if not name.startswith("_")}
    given.pop("os")
    assert given.keys() <= known, given.keys() - known
    assert (told["worker_concurrency"], told["worker_disable_prefetch"]) == (1, True)
    for module in told["include"]:
        importlib.import_module(module)
    launcher = yaml.safe_load((DEPLOY / "dagster-celery.yaml").read_text())["run_launcher"]
    names = variables(launcher)
    assert names == {"S3SYNC_CELERY_BROKER", "S3SYNC_CELERY_BACKEND"}
    for one in names:
        assert one in DOCS


@pytest.mark.parametrize("name", ["s3sync@.service", "s3sync-up.service"])
def test_systemd_takes_the_units(name, tmp_path):
    """On a machine without systemd their sections and options are held against those we mean."""
    text = (DEPLOY / "systemd" / name).read_text()
    unit = tmp_path / name.replace("@", "@api")
    # The program is not installed here; what starts it is looked at by the topology's test.
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    try:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", unit],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
    except FileNotFoundError:
        sections = re.findall(r"^\[(\w+)\]$", text, re.MULTILINE)
        assert sections == ["Unit", "Service", "Install"]
        return
    told = [line for line in done.stderr.splitlines() if unit.name in line]
    assert told == []


def test_units_start_what_is_there():
    text = (DEPLOY / "systemd" / "s3sync-up.service").read_text()
    [words] = re.findall(r"^ExecStart=/opt/s3sync/bin/s3sync (.+)$", text, re.MULTILINE)
    assert run([*words.split(), "--help"]) == 0
