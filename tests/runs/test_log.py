"""What a run logs, where, how often, and that nothing of it stays."""

from __future__ import annotations

import logging

from recbole_peterrec.runs.log import RunLog


def test_each_run_says_a_warning_once_and_all_else_each_time(tmp_path):
    for number in range(2):
        with RunLog("INFO").active() as log:
            log.open_file(tmp_path)
            for _ in range(2):
                log.logger.warning("few weights are free")
                log.logger.info("an epoch")
        told = (tmp_path / "run.log").read_text()
        assert told.count("few weights are free") == number + 1
        assert told.count("an epoch") == 2 * (number + 1)


def test_a_quiet_console_tells_warnings_alone_and_the_file_everything(tmp_path, capsys):
    with RunLog("INFO").active() as log:
        log.open_file(tmp_path)
        with log.quiet_console():
            log.logger.info("an epoch")
            log.logger.warning("a warning")
        log.logger.info("a result")
    told, kept = capsys.readouterr().err, (tmp_path / "run.log").read_text()
    assert "an epoch" not in told and "an epoch" in kept
    for text in ("a warning", "a result"):
        assert text in told and text in kept


def test_afterwards_the_logger_is_as_it_was():
    logger = logging.getLogger()
    before = logger.level, logger.handlers[:], logger.filters[:]
    with RunLog("ERROR").active():
        assert logger.level == logging.ERROR
    assert (logger.level, logger.handlers, logger.filters) == before


def test_a_run_within_a_suite_tells_what_another_has_told(tmp_path):
    with RunLog("INFO").active() as suite:
        suite.logger.warning("bfloat16 is slow here")
        with RunLog("INFO").active() as log:
            log.open_file(tmp_path)
            log.logger.warning("bfloat16 is slow here")
        suite.logger.warning("bfloat16 is slow here")
    assert (tmp_path / "run.log").read_text().count("bfloat16 is slow here") == 1
