"""What must hold for what the groups of a plan say: files are there, and somebody speaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cmw.load.faults import Faults, Path, show_value, suggest
from cmw.load.plan import Group
from cmw.load.plan_sound import MAX_SOUND_S, SoundFile, sound_seconds


def check_sounds(groups: Mapping[str, Group], sounds: Mapping[str, str] | None, faults: Faults) -> None:
    """Note every sound that is not there, and every echo that nothing would come to.

    Args:
        groups: those that are right on their own.
        sounds: of the plan; None when they are not right themselves.
    """
    if sounds is not None:
        _check_files(groups, sounds, faults)
    for name, group in groups.items():
        _check_echo(name, group, groups, faults)


def _check_files(groups: Mapping[str, Group], sounds: Mapping[str, str], faults: Faults) -> None:
    known = {fault.path for fault in faults.found}
    for path, source in _sources(groups):
        if source.file not in sounds and (*path, "file") not in known:
            expected = "a sound of the plan; only a plan that is a file can name a WAV file"
            near = suggest(source.file, sounds)
            faults.add((*path, "file"), f"found {show_value(source.file)}, expected {expected}{near}")
    total = sum(map(sound_seconds, sounds.values()))
    if total > MAX_SOUND_S:
        faults.add(("sounds",), f"found {total:.1f} s in all, expected at most {MAX_SOUND_S} s")


def _sources(groups: Mapping[str, Group]) -> Iterator[tuple[Path, SoundFile]]:
    for name, group in groups.items():
        if isinstance(group.audio.source, SoundFile):
            yield ("groups", name, "audio", "source"), group.audio.source
        for k, step in enumerate(group.scenario):
            if isinstance(step.do.play, SoundFile):
                yield ("groups", name, "scenario", k, "do", "play"), step.do.play


def _check_echo(name: str, group: Group, groups: Mapping[str, Group], faults: Faults) -> None:
    if group.audio.source != "echo":
        return
    callee = group.call.group if group.call is not None else None
    if callee is not None and callee in groups and groups[callee].audio.source == "echo":
        faults.add(
            ("groups", name, "audio", "source"),
            f"found echo in a call to {callee!r}, which is one too, expected somebody who speaks",
        )
    for k, step in enumerate(group.scenario):
        path = ("groups", name, "scenario", k, "do")
        if step.do.play is not None:
            faults.add((*path, "play"), "found in a group whose source is echo, expected a source of its own")
        if step.do.send_dtmf is not None and step.do.via == "rfc4733":
            faults.add((*path, "via"), "found rfc4733 in a group whose source is echo, expected info")
