"""`cmw run`: a plan, here, with a verdict."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from cmw.cli.annotations import Annotate, Remarks, settled
from cmw.cli.console import Terminal
from cmw.cli.evidence_option import EvidenceOption, WavOption, with_evidence
from cmw.cli.exit_codes import ExitCode
from cmw.cli.forecast_table import print_forecast
from cmw.cli.hep_options import DEFAULT_CAPTURE_ID, HepCaptureId, HepKeyFile, HepOptions, HepTarget
from cmw.cli.local_run import InterruptedRunError, LocalResult, LocalSettings, run_here
from cmw.cli.options import DEFAULT_RTP_PORTS, DEFAULT_SIP_PORTS, parse_ports
from cmw.cli.plan_file import read_plan
from cmw.cli.plan_variables import SetOption, plan_variables
from cmw.cli.progress import Progress
from cmw.cli.report_files import USUAL_REPORT, ReportWish
from cmw.cli.sample_files import SamplesFormat, SamplesOption, require_writer
from cmw.cli.summary_file import BaselineOption, read_summary
from cmw.cli.summary_table import print_summary
from cmw.cli.tables import print_json
from cmw.core.words import RunStatus
from cmw.errors import CapacityError
from cmw.load.exit_code import exit_code
from cmw.load.forecast import PORTS_PER_CALL, forecast
from cmw.load.plan import Plan
from cmw.load.summary import Summary

Json = Annotated[bool, typer.Option("--json", help="Print summary.json on stdout, and nothing else there.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Directory of the report.", show_default="cmw-report-<date>-<time>"),
]
SipIp = Annotated[
    str | None, typer.Option(help="Address to bind SIP to.", show_default="the one that the route to the target has")
]
MediaIp = Annotated[str | None, typer.Option(help="Address to bind RTP to.", show_default="as --sip-ip")]
SdpIp = Annotated[str | None, typer.Option(help="Address to show in SDP.", show_default="as --media-ip")]
ExternalIp = Annotated[str | None, typer.Option(help="Address to show in Via and Contact.", show_default="as --sip-ip")]
SipPorts = Annotated[str, typer.Option(help="UDP ports for SIP, FIRST-LAST; the first free one is taken.")]
RtpPorts = Annotated[str, typer.Option(help="UDP ports for RTP and RTCP, FIRST-LAST.")]


def run(
    plan: Annotated[Path, typer.Argument(help="The plan, YAML or JSON.", metavar="PLAN")],
    json_wanted: Json = False,
    output: Output = None,
    sip_ip: SipIp = None,
    media_ip: MediaIp = None,
    sdp_ip: SdpIp = None,
    external_ip: ExternalIp = None,
    sip_ports: SipPorts = DEFAULT_SIP_PORTS,
    rtp_ports: RtpPorts = DEFAULT_RTP_PORTS,
    hep_target: HepTarget = None,
    hep_capture_id: HepCaptureId = DEFAULT_CAPTURE_ID,
    hep_auth_key_file: HepKeyFile = None,
    evidence: EvidenceOption = None,
    wav: WavOption = False,
    samples: SamplesOption = SamplesFormat.CSV,
    set_: SetOption = None,
    baseline: BaselineOption = None,
    annotations: Annotated[
        Annotate | None,
        typer.Option("--annotate", help="Remark what failed for GitHub or GitLab; auto finds out which.", metavar="CI"),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Say what the plan would do, and send nothing; --json prints it as JSON.")
    ] = False,
) -> int:
    """Run a plan on this machine and end with a verdict.

    The exit code is 0 passed, 1 some calls failed and no threshold was given, 97 the generator was the limit, 99 a
    threshold failed; 75, 78 and others mean that nothing was run: see the manual.
    """
    hep = HepOptions(hep_target, hep_capture_id, hep_auth_key_file)
    settings = local_settings(sip_ip, media_ip, sdp_ip, external_ip, sip_ports, rtp_ports, hep)
    wanted = read_plan(plan, plan_variables(set_), read_summary(baseline) if baseline else None)
    wanted = with_evidence(wanted, evidence, with_sound=wav)
    require_writer(samples)
    if check:
        return _check(wanted, settings, json_wanted=json_wanted)
    remarks = None if annotations is None else Remarks(settled(annotations), plan)
    return run_and_report(
        wanted,
        settings,
        output,
        json_wanted=json_wanted,
        remarks=remarks,
        wish=ReportWish(with_sound=wav, samples=samples),
    )


def _check(plan: Plan, settings: LocalSettings, *, json_wanted: bool) -> int:
    """Print what a plan would do.

    Raises:
        CapacityError: too few ports.
    """
    found = forecast(plan)
    if json_wanted:
        print_json(found.model_dump(mode="json"))
    else:
        print_forecast(found, Terminal())
    pairs = (settings.rtp_port_max + 1) // 2 - (settings.rtp_port_min + 1) // 2
    if found.rtp_ports > PORTS_PER_CALL * pairs:
        raise CapacityError(
            f"--rtp-ports: found {pairs} pairs of ports in {settings.rtp_port_min}-{settings.rtp_port_max}, "
            f"expected {found.rtp_ports // PORTS_PER_CALL}, one for each call that an endpoint has at a time"
        )
    return ExitCode.PASSED


def local_settings(
    sip_ip: str | None,
    media_ip: str | None,
    sdp_ip: str | None,
    external_ip: str | None,
    sip_ports: str,
    rtp_ports: str,
    hep: HepOptions,
) -> LocalSettings:
    """Return the options of addresses and ports as settings.

    Raises:
        typer.BadParameter: a range that is none.
        SettingsError: the file of a key cannot be read.
    """
    sip_first, sip_last = parse_ports(sip_ports, "--sip-ports")
    rtp_first, rtp_last = parse_ports(rtp_ports, "--rtp-ports")
    return LocalSettings(
        sip_ip=sip_ip,
        media_ip=media_ip,
        sdp_ip=sdp_ip,
        external_ip=external_ip,
        sip_port_start=sip_first,
        sip_port_end=sip_last,
        rtp_port_min=rtp_first,
        rtp_port_max=rtp_last,
        hep_target=hep.target,
        hep_capture_id=hep.capture_id,
        hep_auth_key=hep.auth_key(),
    )


def run_and_report(
    plan: Plan,
    settings: LocalSettings,
    output: Path | None,
    *,
    json_wanted: bool,
    remarks: Remarks | None = None,
    wish: ReportWish = USUAL_REPORT,
) -> int:
    """Run a plan with a live view, print its summary, and return the exit code; that of the signal that ended it."""
    report = output or Path(datetime.now(UTC).strftime("cmw-report-%Y%m%d-%H%M%S"))
    try:
        with Progress() as progress:
            result: LocalResult = uvloop.run(run_here(plan, settings, report, progress.update, progress.tell, wish))
    except InterruptedRunError as interruption:
        print(f"cmw: {interruption}", file=sys.stderr)
        return 128 + interruption.signal
    summary = Summary.model_validate(result.summary)
    if json_wanted:
        json.dump(result.summary, sys.stdout, indent=2)
        sys.stdout.write("\n")
    print_summary(summary, report, Terminal(file=sys.stderr if json_wanted else sys.stdout))
    if remarks is not None:
        remarks.make(summary, report, sys.stderr if json_wanted else sys.stdout)
    if result.run.reason and summary.run.status is not RunStatus.COMPLETED:
        print(f"cmw: {result.run.status}: {result.run.reason}", file=sys.stderr)
    return exit_code(summary) if result.signal is None else 128 + result.signal
