"""judge.py VALUES CLUSTER FILE: whether what Helm rendered is right, by the schemas of that version of Kubernetes, read strictly, and
by what this service needs. Prints what is wrong, a line each."""

import json
import pathlib
import re
import sys

import jsonschema
import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator import v1 as prometheus
from pydantic import ValidationError

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
CHART = HERE / "progress-service"
ALWAYS = {"Deployment", "Job", "PodDisruptionBudget", "Service", "ServiceAccount"}
WHEN_ASKED = {"Ingress", "NetworkPolicy", "PrometheusRule", "ServiceMonitor"}

findings = []


def expect(holds, what):
    if not holds:
        findings.append(what)


class Unique(yaml.SafeLoader):
    """Refuses a key that stands twice, of which a cluster would take either."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {', '.join(map(str, twice))} stands there twice")
        return super().construct_mapping(node, deep)


def lost(given, kept, path):
    """Fields that the operator's types do not have: a cluster would drop them and say nothing."""
    if isinstance(given, dict) and isinstance(kept, dict):
        yield from (f"{path}.{name} is not known" for name in given if name not in kept)
        for name in given.keys() & kept.keys():
            yield from lost(given[name], kept[name], f"{path}.{name}")
    elif isinstance(given, list):
        for place, (one, other) in enumerate(zip(given, kept)):
            yield from lost(one, other, f"{path}[{place}]")


def by_schema(document, cluster):
    kind = document["kind"]
    if document["apiVersion"].startswith("monitoring.coreos.com/"):
        try:
            read = getattr(prometheus, kind).model_validate(document)
            findings.extend(lost(document, read.model_dump(mode="json", by_alias=True, exclude_unset=True), kind))
        except ValidationError as error:
            findings.append(f"{kind}: {error}")
        return
    try:
        kubernetes_validate.validate(document, cluster, strict=True)
    except jsonschema.ValidationError as error:
        findings.append(f"{kind}: {'.'.join(map(str, error.absolute_path))}: {error.message}")


def secrets_of(pod):
    """The Secrets and keys that a pod reads as variables."""
    variables = [one for container in pod["containers"] for one in container["env"]]
    return {(ref["name"], ref["key"]) for one in variables if (ref := one.get("valueFrom", {}).get("secretKeyRef"))}


def pod_is_guarded(name, pod):
    context = pod["securityContext"]
    user = re.search(r"^USER (\d+)$", (ROOT / "Dockerfile").read_text(), re.M)[1]
    expect(str(context["runAsUser"]) == user, f"{name}: it runs as another user than the image's")
    expect(context["runAsNonRoot"] is True, f"{name}: it may run as root")
    expect(context["seccompProfile"]["type"] == "RuntimeDefault", f"{name}: no filter of system calls")
    expect(pod["automountServiceAccountToken"] is False, f"{name}: it gets a token of the cluster")
    expect(pod["enableServiceLinks"] is False, f"{name}: variables of other services would be refused as unknown keys")
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for volume in volumes.values():
        expect("secret" in volume or volume["emptyDir"].get("sizeLimit"), f"{name}: {volume['name']} has no limit")
    for container in pod["containers"]:
        own = container["securityContext"]
        expect(own.get("allowPrivilegeEscalation") is False, f"{name}: it may gain rights")
        expect(own.get("readOnlyRootFilesystem") is True, f"{name}: its file system can be written")
        expect(own.get("capabilities") == {"drop": ["ALL"]}, f"{name}: it has capabilities")
        expect({"cpu"} <= set(container["resources"]["requests"]), f"{name}: it asks for no processor")
        expect({"memory"} <= set(container["resources"]["limits"]), f"{name}: its memory has no limit")
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        expect({"/tmp", "/var/lib/progress"} <= set(mounts), f"{name}: nowhere to write")
        expect(set(mounts.values()) == set(volumes), f"{name}: volumes and mounts are not the same")


def known_variables():
    """Each variable of the service, and whether it is a secret."""
    rows = re.findall(r"^\| `[a-z0-9_.]+` \| `(PROGRESS_\w+)` \| ([^|]+) \|", (ROOT / "docs/configuration.md").read_text(), re.M)
    expect(len(rows) > 100, "docs/configuration.md could not be read")
    return {name: kind.strip() == "secret" for name, kind in rows}


def variables_are_known(name, pod, known):
    named = [one["name"] for container in pod["containers"] for one in container["env"]]
    expect(len(named) == len(set(named)), f"{name}: a variable stands there twice")
    for container in pod["containers"]:
        for one in container["env"]:
            expect(one["name"] in known, f"{name}: the service knows no {one['name']}")
            expect("valueFrom" in one or not known.get(one["name"]), f"{name}: {one['name']} is a secret and written out")


def secrets_are_refused(known):
    """A key that comes to the service as a secret has to be refused as a plain value here, and taken by its Secret."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = jsonschema.Draft7Validator(json.loads((CHART / "values.schema.json").read_text()))
    expect(not list(schema.iter_errors(values)), "values.yaml does not fit its own schema")
    database = {"PROGRESS_DATABASE_URL", "PROGRESS_DATABASE_MIGRATION_URL"}
    for name in (name for name, is_secret in known.items() if is_secret):
        plain = {**values, "config": {name: "a-word"}}
        expect(list(schema.iter_errors(plain)), f"values.schema.json takes the secret {name} as a value")
        named = {**values, "secretVariables": {name: {"secret": "a", "key": "b"}}}
        expect(name in database or not list(schema.iter_errors(named)), f"values.schema.json does not take {name} from a Secret")


def deployment_is_right(deployment, job, values):
    template = deployment["spec"]["template"]
    pod, container = template["spec"], template["spec"]["containers"][0]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    parts = [int(variables[f"PROGRESS_SHUTDOWN_{part}"].rstrip("s")) for part in ("ANNOUNCE", "SOFT", "HARD")]
    expect(pod["terminationGracePeriodSeconds"] > sum(parts) + 1, "a pod is killed before the service has stopped")
    routes = (ROOT / "src/http/health.rs").read_text()
    for probe, path in {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}.items():
        http = container[probe]["httpGet"]
        expect(http["path"] == path and f'route("{path}"' in routes, f"{probe} asks for {http['path']}")
        expect((http.get("scheme") == "HTTPS") == ("PROGRESS_TLS_CERT_FILE" in variables), f"{probe} speaks {http.get('scheme')}")
    expect(container["args"] == ["serve"], "the pods do not serve")
    expect(variables["PROGRESS_LISTEN"].endswith(f":{container['ports'][0]['containerPort']}"), "another port than it listens on")
    if job:
        owner = secrets_of(job["spec"]["template"]["spec"]) - secrets_of(pod)
        expect(len(owner) == 1, f"the owner's login is not the Job's alone: {owner or 'it is nowhere'}")
    expect("PROGRESS_DATABASE_MIGRATION_URL" not in variables, "the service has the owner's login")
    expect(pod.get("topologySpreadConstraints"), f"{values}: pods may all lie on one node")


def selectors_find(documents, deployment, job):
    """Everything that selects pods finds those that serve, and never the Job's."""
    selectors = {kind: documents[kind]["spec"].get("selector", documents[kind]["spec"].get("podSelector")) for kind in
                 ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy") if kind in documents}
    for kind, selector in selectors.items():
        wanted = selector.get("matchLabels", selector).items()
        expect(wanted <= deployment["spec"]["template"]["metadata"]["labels"].items(), f"{kind}: its selector finds no pod")
        expect(not wanted <= job["spec"]["template"]["metadata"]["labels"].items(), f"{kind}: its selector finds the migrations")
    if monitor := documents.get("ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        expect(wanted <= documents["Service"]["metadata"]["labels"].items(), "ServiceMonitor: its selector finds no service")
        expect(monitor["spec"]["endpoints"][0]["port"] == documents["Service"]["spec"]["ports"][0]["name"], "ServiceMonitor: no such port")


def main(values, cluster, file):
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    expect(chart["version"] == chart["appVersion"] == version, f"Chart.yaml is not of version {version}")
    everything = list(filter(None, yaml.load_all(pathlib.Path(file).read_text(), Unique)))
    documents = {document["kind"]: document for document in everything}
    wanted = ALWAYS | (WHEN_ASKED if values == "everything" else set())
    expect(set(documents) == wanted and len(everything) == len(wanted), f"it makes {sorted(documents)} and not {sorted(wanted)}")
    for document in everything:
        by_schema(document, cluster)
    deployment, job, known = documents["Deployment"], documents["Job"], known_variables()
    for name, pod in ("the service", deployment["spec"]["template"]["spec"]), ("the migrations", job["spec"]["template"]["spec"]):
        pod_is_guarded(name, pod)
        variables_are_known(name, pod, known)
    secrets_are_refused(known)
    deployment_is_right(deployment, job, values)
    selectors_find(documents, deployment, job)
    hooks = job["metadata"]["annotations"]["helm.sh/hook"].split(",")
    expect(sorted(hooks) == ["pre-install", "pre-upgrade"], "migrations do not run before the pods")
    expect(job["spec"]["template"]["spec"]["containers"][0]["args"][:2] == ["migrations", "run"], "the Job does not migrate")
    # The schemas know no list of what these may say.
    codes = job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]
    expect(codes["operator"] == "In" and {3, 5} <= set(codes["values"]), "the Job tries again what waits for a person")
    policy = documents["PodDisruptionBudget"]["spec"]["unhealthyPodEvictionPolicy"]
    expect(policy == "AlwaysAllow", "pods that wait hold a node up that is being emptied")
    if rules := documents.get("PrometheusRule"):
        alerts = yaml.safe_load((HERE.parent / "alerts.yml").read_text())
        expect(rules["spec"] == alerts, "the PrometheusRule has other alerts than alerts.yml")
    for finding in findings:
        print(f"{values}, Kubernetes {cluster}: {finding}", file=sys.stderr)
    return 1 if findings else 0


sys.exit(main(*sys.argv[1:]))
