"""Completion for shells."""

import pytest

from real.cli import COMMANDS, main
from theory.support import command_line


@pytest.mark.parametrize("shell", command_line.SHELLS)
def test_completion_knows_every_command_and_its_options(capsys, shell):
    with pytest.raises(SystemExit) as caught:
        main([command_line.COMPLETION, shell])
    printed = capsys.readouterr().out
    assert caught.value.code == 0 and "martingale-real" in printed
    assert all(name in printed for name in (*COMMANDS, "--calibration", "--unconditional"))
