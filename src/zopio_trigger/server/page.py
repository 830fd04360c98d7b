"""The page at `/`: the last runs of an environment as plain HTML. No script, no request to anywhere else; all that
users wrote is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files
from typing import Final

from zopio_trigger.errors import NotFound
from zopio_trigger.model.durations import ago, humanize, instant_us
from zopio_trigger.model.states import RUN_STATES
from zopio_trigger.model.views import RunView, value
from zopio_trigger.server.answers import Answer, Header
from zopio_trigger.server.calls import Call
from zopio_trigger.server.routes import Route

RUNS_SHOWN: Final = 50
LONGEST_REASON: Final = 300  # characters of an error or reason that are shown

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_SECURITY: Final[tuple[Header, ...]] = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_ICONS: Final = {
    "ready": "○", "executing": "◐", "suspended": "⏾", "completed": "✓", "failed": "✕", "timed_out": "⧖",
    "cancelled": "⊘", "invalid_payload": "≠", "crashed": "⚡",
}  # fmt: skip
_STYLE: Final = files(__package__).joinpath("static/page.css").read_bytes()


async def runs(call: Call) -> Answer:
    """The last runs of the environment named by `?environment=`, or of the first one."""
    environments = await call.platform.store.environments()
    slugs = {environment.slug: environment.no for environment in environments}
    slug = call.word("environment") or next(iter(slugs), None)
    if slug is None:
        return _html(_page("", _EMPTY, root=call.root))
    if slug not in slugs:
        raise NotFound(f"environment {slug} not found; there are {', '.join(slugs)}")
    page = await call.platform.reads.runs(slugs[slug], limit=RUNS_SHOWN)
    now = call.platform.clock.now()
    body = _nav(slugs, slug) + (_table(page.runs, now) if page.runs else _EMPTY)
    return _html(_page(slug, body, root=call.root))


async def style(call: Call) -> Answer:
    return Answer(_STYLE, headers=[(b"content-type", b"text/css; charset=utf-8"), *_SECURITY])


async def no_page(call: Call) -> Answer:
    """What a server says that others than this machine can reach: runs are shown to nobody without a login."""
    return _html(_page("", _NOT_HERE, root=call.root))


def routes(*, shows_runs: bool) -> tuple[Route, ...]:
    """The page and its style; `shows_runs` only where nobody but this machine can reach them."""
    return (
        Route("GET", "/", runs if shows_runs else no_page, is_open=True),
        Route("GET", "/-/page.css", style, is_open=True),
    )


_EMPTY: Final = (
    "<p>No runs yet. Send the first event: <code>zopio-trigger send user.created "
    '\'{"userId":"user_123"}\'</code></p>'
)
_NOT_HERE: Final = (
    "<p>The platform is running. Runs are listed on a page only where it is bound to this machine "
    "(<code>127.0.0.1</code>); from elsewhere use <code>zopio-trigger runs list</code> with an API key.</p>"
)


def _html(text: str) -> Answer:
    return Answer(text.encode(), headers=[(b"content-type", b"text/html; charset=utf-8"), *_SECURITY])


def _page(slug: str, body: str, *, root: str) -> str:
    title = f"Runs · {escape(slug)} · zopio-trigger" if slug else "zopio-trigger"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f'<title>{title}</title>\n<link rel="icon" href="data:,">\n'
        f'<link rel="stylesheet" href="{escape(root)}/-/page.css">\n</head>\n'
        f"<body>\n<h1>{title}</h1>\n{body}\n"
        f'<p>A plain list of the last {RUNS_SHOWN} runs; reload it to see more. Details: <code>zopio-trigger runs '
        f'get RUN</code>, or the <a href="{escape(root)}/openapi.json">HTTP API</a>.</p>\n</body>\n</html>\n'
    )  # fmt: skip


def _nav(slugs: Iterable[str], current: str) -> str:
    links = [
        f'<a href="?environment={escape(slug)}"{" aria-current=page" if slug == current else ""}>{escape(slug)}</a>'
        for slug in slugs
    ]
    return f"<nav>{''.join(links)}</nav>"


def _table(runs: Iterable[RunView], now: int) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("status", "run", "job", "event", "created", "took"))
    rows = "\n".join(_row(run, now) for run in runs)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"


def _row(run: RunView, now: int) -> str:
    cells = (
        f"{_ICONS[run.status]} {RUN_STATES[run.status].people}",
        f"<code>{escape(run.id)}</code>",
        f"{escape(run.job)} {escape(run.version)}",
        escape(run.event_name or ""),
        f'<time datetime="{run.created_at}" title="{run.created_at}">{_age(run, now)}</time>',
        "" if run.duration_ms is None else humanize(round(run.duration_ms * 1000)),
    )
    row = "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    why = _why(run)
    return f'{row}\n<tr><td class="why" colspan="6">{escape(why)}</td></tr>' if why else row


def _age(run: RunView, now: int) -> str:
    return ago(instant_us(run.created_at, "created_at"), now)


def _why(run: RunView) -> str:
    """What explains the status: the error, or what the run waits for."""
    if run.waiting_reason is not None:
        return run.waiting_reason.text[:LONGEST_REASON]
    error = value(run.error)
    if not isinstance(error, dict):
        return ""
    return f"{error.get('type', 'Error')}: {error.get('message', '')}"[:LONGEST_REASON]
