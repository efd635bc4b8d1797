"""What can be said before the page is there."""

import socket

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.commands.demo import check_free, run
from pipeline.errors import ParamError


def test_a_taken_port_is_one_line():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(
            ParamError, match=rf"^port {port} cannot be had \(address already in use\); give another one: "
        ):
            run(first=None, port=port, browser=False)
    check_free(port)


def test_help_says_who_is_served():
    shown = " ".join(CliRunner().invoke(app, ["demo", "--help"]).output.split())
    assert "for this machine alone" in shown and "--port" in shown and "--no-browser" in shown
