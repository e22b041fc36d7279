"""Who may come in, how often, and from which pages: the handlers that stand before a site or a route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netlodge.app.supplies import Supplies
from netlodge.config import settings as config
from netlodge.core.account_names import normal_name
from netlodge.core.networks import Networks
from netlodge.core.rates import Rate
from netlodge.http.handlers.cors import Cors, CorsPolicy
from netlodge.http.handlers.networks import NetworkAccess
from netlodge.http.handlers.rates import RateLimit
from netlodge.http.message import Handler, HttpError, Request, Response
from netlodge.net.tally import client_key

if TYPE_CHECKING:
    from netlodge.store.logins import Logins


def guarded(
    handler: Handler, access: config.Access, supplies: Supplies, *, scope: str, asks_login: bool = False
) -> Handler:
    """`NetworkAccess -> RateLimit -> LoginAccess -> handler`, each only if `access` asks for it: what costs least is looked at first, and
    guesses at a login count as requests.

    `scope` tells the site or the route from others, the same in all workers: requests are counted for each. `asks_login` says that an
    account was asked for before: then `users` alone narrow down who of them may come in.
    """
    if access.login or (access.users and asks_login):
        handler = with_login(handler, access, supplies)
    shared = supplies.shared
    if access.rate:
        handler = RateLimit(
            handler,
            shared.request_rates,
            Rate.of(access.rate, access.burst),
            scope=scope,
            client_of=client_key,
            clock=supplies.clock,
            refused=shared.series.access.rate_refused,
        )
    if access.networks:
        handler = NetworkAccess(handler, Networks(access.networks), refused=shared.series.access.network_refused)
    return handler


def with_login(handler: Handler, access: config.Access, supplies: Supplies) -> Handler:
    """`handler` for those who log in to one of `access.users`, whether or not `access.login` asks for it."""
    # Accounts need SQLAlchemy, which takes a third of a second to import: only a lodge that has logins waits for it.
    from netlodge.http.handlers.access import LoginAccess

    users = frozenset(map(normal_name, access.users))
    return LoginAccess(handler, logins_of(supplies), realm=access.realm, users=users, client_of=client_key)


def logins_of(supplies: Supplies) -> Logins:
    """The one of this worker: made when it is first asked for."""
    if supplies.logins is None:
        from netlodge.store.login_failures import LoginFailures
        from netlodge.store.logins import LoginCounters, Logins
        from netlodge.store.passwords import Passwords

        shared, limits = supplies.shared, supplies.settings.limits
        rate = Rate(interval=limits.login_pause, burst=limits.login_failures)
        supplies.logins = Logins(
            supplies.database,
            Passwords(),
            LoginFailures(shared.login_failures, shared.known_logins, rate),
            clock=supplies.clock,
            queue=limits.login_queue,
            counters=LoginCounters(*shared.series.access.logins),
        )
    return supplies.logins


def with_cors(handler: Handler, cors: config.Cors) -> Handler:
    """`handler` with its answers readable by pages of other origins, if there are any."""
    if not cors.origins:
        return handler
    policy = CorsPolicy(
        origins=cors.origins,
        methods=cors.methods,
        fields=cors.fields,
        exposes=cors.exposes,
        credentials=cors.credentials,
        max_age=int(cors.max_age),
    )
    return Cors(handler, policy)


class Nothing:
    """Answers for the paths of a site that no route is for."""

    __slots__ = ()

    async def handle(self, request: Request) -> Response:
        raise HttpError(404, "There is nothing at this path.")
