"""docs/configuration.md, made from the settings model."""

from __future__ import annotations

from pydantic.fields import FieldInfo

from cmw.worker.settings import WorkerSettings, is_secret


def configuration_page() -> str:
    """Return docs/configuration.md, made from the settings model."""
    rows = [_row(name, field) for name, field in WorkerSettings.model_fields.items()]
    return _PAGE_HEAD + "\n".join(rows) + "\n" + _PAGE_TAIL


def _row(name: str, field: FieldInfo) -> str:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    default = "**required**" if field.is_required() else str(extra.get("default_text", f"`{field.default}`"))
    from_file = f"`{name.upper()}_FILE`" if is_secret(name) else ""
    example = f"`{field.examples[0]}`" if field.examples else ""
    return f"| `{name.upper()}` | {field.description} | {default} | {example} | {from_file} |"


_PAGE_HEAD = """\
# Configuration of a worker

Made from the settings model by `python -m cmw.worker.reference > docs/configuration.md`; a test compares the two.

A worker is configured by environment variables alone. All of them are checked before anything else happens; every
fault is named at once, with the variable, what was found (masked if it is secret) and what was expected, and the exit
code is 78. An empty variable counts as not set. `cmw config` shows what the worker would take, and where each value
comes from.

| variable | meaning | default | example | from a file |
|---|---|---|---|---|
"""

_PAGE_TAIL = """
A secret can be read from the file that `NAME_FILE` names, instead of the variable itself: mount it as a Docker or
Kubernetes secret. White space around it is dropped. Setting both is a fault, and so is a file that is not one line of
text, of 4,096 bytes at most, or that is no regular file: a worker does not wait for a pipe.

## Addresses

`SIP_IP` is bound and shown in SIP headers, whatever a run calls. Not set, each endpoint has the address that the
route to its destination leaves from: its registrar, or else its outbound proxy or the host that it calls. A host with
several interfaces so needs no setting, and one run may call into several networks: Via, Contact and SDP show each peer
the address that it can reach. Endpoints that only wait are where their callers are; those that call such a group,
where the group is; and where nothing is said of these either, where the run goes first. A run that only waits for
calls has the address that the route to the gateway leaves from; when the gateway's name does not resolve yet, the one
that the default route leaves from. Host names decide nothing. IPv6 addresses are written with or without
brackets; a zone (`fe80::1%eth0`) is refused, as peers could do nothing with it. `SDP_IP` and `EXTERNAL_IP` are of the
same IP version as the address that is bound, or detected without a destination: set `SIP_IP` where that is of the
other one. An endpoint whose own destination is reached by the other IP version shows the address that it is bound to.

Behind NAT, bind the private address, show the public one, and have the router hand the SIP and RTP ports on that come
from outside:

    SIP_IP=10.0.1.50            bound by SIP (and by RTP, as MEDIA_IP is not set)
    SDP_IP=203.0.113.10         shown in the c= line
    EXTERNAL_IP=203.0.113.10    shown in Via and Contact

## Ports

SIP takes the first port of its range that is free for UDP and TCP both, so that several workers on one host can share
a range, or have one each.

One audio call takes an even RTP port and the odd one above it for RTCP. A range of 200 ports therefore carries at
most 100 endpoints. A worker whose ports, or whose limit of open files, are enough for fewer than 25 endpoints, or for
fewer than the capacity that it was given on the gateway, warns of it when it starts (`few endpoints fit`), and refuses
a run that needs more than it has, saying which of the two decides. Two workers on one host need ranges of their own
for RTP, and a `HEALTH_PORT` of their own.

The log is described in [logging.md](logging.md), the pages on `HEALTH_PORT` in [worker-metrics.md](worker-metrics.md).

## The stop

SIGUSR2 drains a worker from its own side: it takes no new runs, as after `cmw workers drain`, until it is started anew.

SIGTERM and SIGINT end the worker politely within `SHUTDOWN_TIMEOUT`: no new run is taken, calls are hung up or
cancelled, registrations are ended, what is still to be reported is handed to the gateway, and the link is closed with
1001. Seven tenths of the time are for the peers, the rest for the gateway. A second signal ends at once. Give a
container longer than this before it is killed: `docker stop` waits 10 s unless told otherwise (`stop_grace_period` in
a compose file).

## While the gateway is away

A run goes on, and what it reports is kept: in memory, up to `SPOOL_MAX_BYTES`. With `SPOOL_DIR` it is written there
too, in a directory named after a part of the token's SHA-256, so that workers can share one `SPOOL_DIR`. While the
link works nothing is written. What the gateway has not taken within half a second to a second is, twice a second,
each time with an fdatasync: a killed worker loses that half second at most, and so does a machine that loses its
power. Of what is on disk 8 MiB stay in memory.

The next start with the same token and `SPOOL_DIR` sends what it finds first, as the reports of the process that made
them, then begins on its own; the log says how many. A run that was going on loses that worker's part all the same,
but not what it had reported. The end of a file that was torn is left out. While the disk is full the worker goes on
in memory, says so, and writes again as soon as it can. The files take `SPOOL_MAX_BYTES` at most, three quarters of it
for reports.

Without room the oldest samples go first, then progress reports; outcomes, ends of runs and events never. What went is
counted in the summary as `generator.samples_dropped`, in heartbeats, and in an event of the run with the seconds that
it is about.

## Proxy and certificates

The gateway's certificate is checked for its chain and for the name in `CLOUD_URL`, with TLS 1.2 or newer; there is no
way to turn that off. `CLOUD_CA_FILE` replaces the authorities of the system. With `CLOUD_PROXY` the worker has the
proxy open a tunnel and speaks TLS to the gateway through it; the proxy looks the gateway's name up. The setting is a
secret, for it may hold a password: it can come from `CLOUD_PROXY_FILE`, and is never shown.

## Media threads

Each sends and receives by itself, on a core of its own while there are cores: 1,000 to 2,000 two-way endpoints for
each. Signalling has the core that is left. What a container may use is counted, not what the machine has. A further
thread is started for every 100 streams, for each costs a thousand wake-ups a second. They are not tied to cores: the
scheduler moves them away from what else is busy. See [media-engine.md](media-engine.md).

## The gateway's three refusals

| message | cause | what to do |
|---|---|---|
| `authentication failed: invalid token` | token is wrong or was regenerated | set the present token, or regenerate it |
| `authentication failed: worker disabled` | the worker was disabled | `cmw workers enable` |
| `authentication failed: duplicate connection` | another worker holds this token | stop it, or wait for its time-out |
"""

if __name__ == "__main__":
    print(configuration_page(), end="")
