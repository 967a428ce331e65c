"""
The tasks that the Celery worker of the tests runs; the broker and the results are folders.

The agent is made and used at import, in the parent of the pool, as programs do.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery

from syncagent import Agent, ModelAPIError
from syncagent.models.openai import OpenAIModel
from syncagent.providers.openai import OpenAIProvider

__all__ = ["app"]

FOLDER = Path(os.environ["CELERY_FOLDER"])
for name in ("in", "processed", "results", "control"):
    (FOLDER / name).mkdir(exist_ok=True)
app = Celery("tests", broker="filesystem://", backend=f"file://{FOLDER / 'results'}")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(FOLDER / "in"),
        "data_folder_out": str(FOLDER / "in"),
        "processed_folder": str(FOLDER / "processed"),
        "control_folder": str(FOLDER / "control"),
    },
    accept_content=["json"],
    result_accept_content=["json", "pickle"],
    result_serializer="pickle",
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)
agent = Agent(OpenAIModel("m", provider=OpenAIProvider(base_url=os.environ["UPSTREAM"], api_key="loopback")))
if "WARM" in os.environ:
    agent.run_sync(f"say warm@{os.getpid()}")


@app.task(name="ask")  # type: ignore[untyped-decorator, unused-ignore] # Celery has no types
def ask(prompt: str) -> tuple[str, int]:
    """Run the agent."""
    return agent.run_sync(f"{prompt}@{os.getpid()}").data, os.getpid()


@app.task(name="hang", soft_time_limit=1)  # type: ignore[untyped-decorator, unused-ignore] # as above
def hang() -> str:
    """A run that gets no answer; the soft time limit ends it."""
    try:
        agent.run_sync(f"head lost@{os.getpid()}")
    except BaseException as error:
        return type(error).__name__
    return "answered"


@app.task(name="again", bind=True, max_retries=1)  # type: ignore[untyped-decorator, unused-ignore] # as above
def again(self: Any, prompt: str) -> Any:
    """Let Celery wait where the provider asks for patience."""
    try:
        return agent.run_sync(prompt, model_settings={"timeout": 5}, deadline=5).data
    except ModelAPIError as error:
        if not error.retryable or self.request.retries:
            raise
        raise self.retry(exc=error, countdown=min(error.retry_after or 0, 0.2)) from None
