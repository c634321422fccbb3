"""Taking jobs, groups of jobs and the old `commands` out of the tree of a file."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from daft_protocol.errors import BadJobName
from daft_protocol.jobs import BackgroundOutput
from daft_protocol.names import check_job_name

from .document import Node
from .domain import grouping
from .domain.config import GroupConfig, Interactive, JobConfig, LogConfig
from .domain.merging import name_of
from .domain.shape import LOG, MACHINES, ON_A_GROUP
from .errors import Mark, Severity
from .reading import Reader
from .rules import read_condition
from .runlines import check_placeholders, is_one_line, read_command


def read_jobs(
    reader: Reader, node: Node | None, path: str, *, depth: int = 0
) -> tuple[JobConfig, ...]:
    """Return the jobs in a list, groups as they are written. depth: of groups around it."""
    if node is None or node.is_null:
        return ()
    if node.kind != "list":
        reader.wrong(node, path, "a list of jobs, each beginning with `- name:`")
        return ()
    jobs: list[JobConfig] = []
    gone: set[str] = set()
    seen: dict[str, Mark] = {}
    for position, element in enumerate(node.elements, 1):
        if element.kind != "map":
            reader.wrong(element, f"{path}[{position}]", "a job: a map with `run:`")
            continue
        job, is_disabled = _job(reader, element, position, path, depth)
        if is_disabled:
            gone.add(job.name)
        elif job.name in seen:
            message = f"a second job {job.name!r}; the first is at {seen[job.name]}"
            reader.note(element.mark, path, message)
        else:
            seen[job.name] = element.mark
            jobs.append(job)
    if not gone - seen.keys():
        return tuple(jobs)
    return tuple(_without(job, gone) for job in jobs)


def _without(job: JobConfig, gone: set[str]) -> JobConfig:
    kept = [
        (name, mark)
        for name, mark in zip(job.needs, job.needs_marks, strict=True)
        if name not in gone
    ]
    return evolve(
        job, needs=tuple(name for name, _ in kept), needs_marks=tuple(mark for _, mark in kept)
    )


def _job(
    reader: Reader, node: Node, position: int, path: str, depth: int
) -> tuple[JobConfig, bool]:
    """Return a job or a group, and whether it is disabled."""
    given = reader.fields(node, f"{path}[{name_of(node) or position}]", "job")
    get = given.get
    own_name = reader.text(get("name"), f"{path}[{position}].name")
    name = own_name or f"job-{position}"
    path = f"{path}[{name}]"
    try:
        check_job_name(name)
    except BadJobName as error:
        reader.note(get("name", node).mark, path, str(error))
        name = f"job-{position}"
    needs, needs_marks = reader.texts(get("needs"), f"{path}.needs")
    if needs and own_name is None:
        reader.note(node.mark, path, "has `needs` and no `name`; name it", Severity.ERROR)
    elif not own_name:
        reader.note(node.mark, path, f"has no name; it is called '{name}'", Severity.NOTE)
    timeout, has_timeout = reader.timeout(get("timeout"), f"{path}.timeout")
    background_output = reader.choice(
        get("background_output"),
        f"{path}.background_output",
        tuple(one.value for one in BackgroundOutput),
    )
    job = JobConfig(
        name=name,
        mark=node.mark,
        is_named=own_name is not None,
        description=reader.text(get("description"), f"{path}.description") or "",
        run=read_command(reader, get("run"), f"{path}.run"),
        takes_arguments=is_one_line(get("run")),
        script=reader.text(get("script"), f"{path}.script"),
        runner=reader.text(get("runner"), f"{path}.runner") or "",
        args=reader.text(get("args"), f"{path}.args") or "",
        uses=reader.text(get("uses"), f"{path}.uses"),
        arguments=reader.variables(get("with"), f"{path}.with"),
        root=reader.text(get("root"), f"{path}.root") or ".",
        env=reader.variables(get("env"), f"{path}.env"),
        needs=needs,
        needs_marks=needs_marks,
        background=reader.flag(get("background"), f"{path}.background"),
        background_output=BackgroundOutput(background_output or "log"),
        timeout_s=timeout,
        has_timeout=has_timeout,
        grace_s=reader.duration_s(get("cancel_grace_period"), f"{path}.cancel_grace_period"),
        interactive=_interactive(reader, get("interactive"), f"{path}.interactive"),
        tags=reader.texts(get("tags"), f"{path}.tags")[0],
        skip=read_condition(reader, get("skip"), f"{path}.skip"),
        only=read_condition(reader, get("only"), f"{path}.only"),
        glob=reader.globs(get("glob"), f"{path}.glob"),
        exclude=reader.globs(get("exclude"), f"{path}.exclude"),
        files=reader.text(get("files"), f"{path}.files"),
        arch=reader.choices(get("arch"), f"{path}.arch", MACHINES),
        priority=reader.number(get("priority"), f"{path}.priority") or 0,
        tracks=reader.choices(get("tracks"), f"{path}.tracks", ("path", "branch")),
        fail_text=reader.text(get("fail_text"), f"{path}.fail_text") or "",
        log=read_log(reader, get("log"), f"{path}.log"),
        group=_group(reader, get("group"), given, f"{path}.group", depth),
    )
    is_disabled = bool(reader.flag(get("disabled"), f"{path}.disabled"))
    if not is_disabled:
        check_placeholders(reader, job, given, path)
        _check_work(reader, job, node, given, path)
    return job, is_disabled


def _interactive(reader: Reader, node: Node | None, path: str) -> Interactive:
    if node is not None and node.kind == "scalar" and node.text.lower() == "auto":
        return Interactive.AUTO
    return Interactive.YES if reader.flag(node, path) else Interactive.NO


_KINDS_OF_WORK = ("run", "script", "uses", "runner", "args", "with")


def _check_work(
    reader: Reader, job: JobConfig, node: Node, given: Mapping[str, Node], path: str
) -> None:
    """A job has exactly one kind of work."""
    kinds = [key for key in ("run", "script", "uses", "group") if key in given]
    if len(kinds) > 1:
        message = f"`{kinds[0]}` and `{kinds[1]}` exclude each other"
        reader.note(node.keys[kinds[1]], path, message, Severity.FAULT)
    if not kinds and "run" not in node.items:
        message = "has nothing to run; give it `run:` or `script:`"
        reader.note(node.mark, path, message, Severity.FAULT)
    elif "run" in node.items and "run" not in given:
        message = "is empty; write the command, or remove the job"
        reader.note(node.items["run"].mark, f"{path}.run", message, Severity.FAULT)
    for key, wanted in (("runner", "script"), ("args", "script"), ("with", "uses")):
        if key in given and wanted not in given:
            message = f"{key!r} has no effect without `{wanted}`"
            reader.note(node.keys[key], path, message, Severity.WARNING)
    if job.group is not None:
        for key in given:
            if key not in ON_A_GROUP and key not in (
                "run",
                "script",
                "uses",
                "runner",
                "args",
                "with",
            ):
                message = f"{key!r} has no effect on a group; give it to its jobs"
                reader.note(node.keys[key], path, message, Severity.WARNING)


def _group(
    reader: Reader, node: Node | None, given: Mapping[str, Node], path: str, depth: int
) -> GroupConfig | None:
    if node is None:
        return None
    if node.kind != "map":
        reader.wrong(node, path, "a map with `jobs:`")
        return GroupConfig()
    if depth >= grouping.MAX_DEPTH:
        message = f"groups are nested deeper than {grouping.MAX_DEPTH} levels"
        reader.note(node.mark, path, message)
        return GroupConfig()
    inside = reader.fields(node, path, "group")
    parallel = reader.flag(inside.get("parallel"), f"{path}.parallel")
    piped = reader.flag(inside.get("piped"), f"{path}.piped") or False
    if piped and parallel:
        message = "parallel and piped exclude each other; piped counts"
        reader.note(node.mark, path, message, Severity.ERROR)
    jobs = read_jobs(reader, inside.get("jobs"), f"{path}.jobs", depth=depth + 1)
    if not jobs:
        reader.note(node.mark, path, "has no jobs, so it does nothing", Severity.WARNING)
    return GroupConfig(jobs=jobs, parallel=parallel is not False, piped=piped)


def read_commands(reader: Reader, node: Node | None, path: str) -> tuple[JobConfig, ...]:
    """Return the jobs of the old form, a map instead of a list, in the order of the file."""
    jobs: list[JobConfig] = []
    for name, entry, mark in reader.entries(node, path):
        if entry.kind != "map":
            reader.wrong(entry, f"{path}.{name}", "a map with `run:`")
            continue
        try:
            check_job_name(name)
        except BadJobName as error:
            reader.note(mark, path, str(error))
            continue
        where = f"{path}.{name}"
        given = reader.fields(entry, where, "command")
        get = given.get
        job = JobConfig(
            name=name,
            mark=mark,
            run=read_command(reader, get("run"), f"{where}.run"),
            script=reader.text(get("script"), f"{where}.script"),
            runner=reader.text(get("runner"), f"{where}.runner") or "",
            tags=reader.texts(get("tags"), f"{where}.tags")[0],
            skip=read_condition(reader, get("skip"), f"{where}.skip"),
            env=reader.variables(get("env"), f"{where}.env"),
        )
        check_placeholders(reader, job, given, where)
        _check_work(reader, job, entry, given, where)
        jobs.append(job)
    return tuple(jobs)


def read_log(reader: Reader, node: Node | None, path: str) -> LogConfig:
    """Return a `log:` block."""
    if node is None or node.is_null:
        return LogConfig()
    if node.kind != "map":
        reader.wrong(node, path, f"a map with {', '.join(one.name for one in LOG)}")
        return LogConfig()
    get = reader.fields(node, path, "log").get
    retention = reader.duration_s(get("retention"), f"{path}.retention")
    stale = reader.duration_s(get("stale_running_after"), f"{path}.stale_running_after")
    limit = reader.size_bytes(get("max_log_size"), f"{path}.max_log_size")
    if limit == 0:
        message = "must be more than nothing; the default counts instead"
        reader.note(node.items["max_log_size"].mark, path, message, Severity.ERROR)
    return LogConfig(
        retention_s=None if retention is None else int(retention),
        max_log_size_bytes=limit or None,
        max_total_size_bytes=reader.size_bytes(get("max_total_size"), f"{path}.max_total_size"),
        keep_last=reader.number(get("keep_last"), f"{path}.keep_last", 0),
        stale_running_after_s=None if stale is None else int(stale),
        sampling_every_nth=reader.number(
            get("sampling_every_nth"), f"{path}.sampling_every_nth", 0
        ),
    )
