"""A Django site of one file: a view that runs an agent whose tool uses the ORM, inside the view's transaction."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from syncagent import Agent
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider

__all__ = ["application"]

settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}},
    USE_TZ=True,
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 - needs the settings
from django.db import connection, transaction  # noqa: E402 - needs the settings
from django.urls import path  # noqa: E402 - needs the settings

agent = Agent(OpenAIModel("m", provider=OpenAIProvider(os.environ["UPSTREAM"], "loopback")))


@agent.tool_plain
def work(tag: str) -> str:
    """Count the rows that the view has written and not committed, on the view's own connection."""
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from notes where tag = %s", [tag])
        (count,) = cursor.fetchone()
    return f"{tag} {count} {connection.in_atomic_block} {threading.get_ident()}"


def view(request: HttpRequest) -> HttpResponse:
    """Write a row, run the agent, and take everything back."""
    tag = request.GET["tag"]
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("insert into notes values (%s)", [tag])
        data = agent.run_sync(f"tool {tag}").data
        transaction.set_rollback(True)
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from notes")
        (left,) = cursor.fetchone()
    return HttpResponse(json.dumps({"data": data, "thread": threading.get_ident(), "left": left}))


urlpatterns = [path("", view)]
application: Any = get_wsgi_application()
