"""A release: one build with one set of settings, as one directory on a host. Pure.

    INSTALL_DIR/
      incoming/BUILD/          what is being uploaded
      builds/BUILD/            a virtual environment; .complete once it is whole
      releases/RELEASE/        agent.env, CA, unit, rules, build -> ../../builds/BUILD; .complete once it is whole
      current -> releases/…    what is started; switched in one step
      proven  -> releases/…    the last one that was seen to serve: what a failed rollout goes back to
      before                   while a host is out of service: the boot and the units that it had before

Settings belong to the release and not to the host, so that going back goes back whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote

from deploy.build import Manifest
from deploy.rollout_file import Rollout, Target
from deploy.supervisors import RULES, supervisor_of, udev_rules
from lab_inventory.canonical import sha256

SETTINGS = "agent.env"
CA = "lab-ca.pem"
KEPT = 3
"""The newest releases that are kept on a host, beside those that are in use."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """``name``: the build and the first 8 digits of the digest over ``files`` (name to text)."""

    name: str
    build: str
    version: str
    files: Mapping[str, str]


def version_of(release: str) -> str:
    """The version of Assay in a release of that name."""
    return release.rsplit("-", 2)[0].replace("_", "+")


def release_of(rollout: Rollout, target: Target, manifest: Manifest) -> Release:
    """What is to be on a host."""
    agent = rollout.agent
    settings = {
        "ASSAY_AGENT_SERVER_URL": rollout.server.rstrip("/"),
        "ASSAY_AGENT_HOST": target.name,
        "ASSAY_AGENT_WORK_DIR": agent.work_dir,
        "ASSAY_AGENT_CA_FILE": agent.ca_file,
        "ASSAY_AGENT_TRUSTED_NETWORK": "true" if agent.trusted_network else None,
        "ASSAY_AGENT_RAY_ADDRESS": agent.ray_address,
        "ASSAY_AGENT_RAY_NODE_IP": target.ray_node_ip,
        "ASSAY_AGENT_RAY_TOKEN_FILE": agent.ray_token_file,
        "ASSAY_AGENT_RAY_TLS_CERT": agent.ray_tls_cert,
        "ASSAY_AGENT_RAY_TLS_KEY": agent.ray_tls_key,
        "ASSAY_AGENT_RAY_TLS_CA": agent.ray_tls_ca,
        "ASSAY_DEPLOY_DIR": agent.install_dir,
    }
    text = "".join(f"{name}={quote(value)}\n" for name, value in settings.items() if value is not None)
    files = {SETTINGS: text, RULES: udev_rules(agent), **supervisor_of(agent).files()}
    if rollout.ca_certificates:
        files[CA] = rollout.ca_certificates
    whole = "\0".join(f"{name}\0{files[name]}" for name in sorted(files))
    mark = sha256(whole.encode()).removeprefix("sha256:")[:8]
    name = f"{manifest.build}-{mark}"
    # The release says its own name in the environment of what it starts: so one can see which one a process is of.
    files[SETTINGS] += f"ASSAY_DEPLOY_RELEASE={quote(name)}\n"
    if CA in files:
        # By the release and not by "current": a new release joins and looks before it is switched to.
        files[SETTINGS] += f"ASSAY_AGENT_CA_FILE={quote(f'{agent.install_dir}/releases/{name}/{CA}')}\n"
    return Release(name=name, build=manifest.build, version=manifest.version, files=files)


def prune(install_dir: str) -> str:
    """Shell text that removes old releases, then builds that no release and no process has: runs of one may go on."""
    linked = " ".join(f'"$(readlink {name} | xargs -r basename)"' for name in ("current", "proven"))
    return (
        f"cd {quote(install_dir)} && keep=$(echo {linked} $(ls -t releases | head -n {KEPT})) && "
        'for r in $(ls releases); do case " $keep " in *" $r "*) ;; *) rm -rf "releases/$r";; esac; done; '
        'for b in $(ls builds); do ls -l releases/*/build | grep -qF "builds/$b" || '
        'grep -lqsF "builds/$b/" /proc/[0-9]*/cmdline || rm -rf "builds/$b"; done'
    )
