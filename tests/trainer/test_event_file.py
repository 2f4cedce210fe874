"""TensorBoard reads what it read of torch's writer; a full disk is one clear line."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard import SummaryWriter

from recbole_peterrec.errors import WriteError
from recbole_peterrec.trainer.event_file import EventFile

HPARAMS = {"learner": "adam", "rate": 0.001, "batch": 32, "amp": True, "none": None}
METRICS = {"hparam/best_valid_result": 0.25}


def fill(writer):
    for step, value in enumerate([0.5, 1 / 3, float("inf")]):
        writer.add_scalar("valid/mrr@5", value, step)
    writer.add_scalar("Loss/Train", 2, 7)
    writer.add_hparams(HPARAMS, METRICS)
    writer.close()


def session(content):
    """A summary of the hparams plugin, without the second in which it was made."""
    data = HParamsPluginData.FromString(content)
    data.session_start_info.start_time_secs = data.session_end_info.end_time_secs = 0
    return data


def read(folder):
    """Scalars and summaries of plugins in a folder's one event file."""
    (file,) = folder.glob("events.out.tfevents.*")
    events = EventAccumulator(str(file)).Reload()
    tags = events.Tags()
    scalars = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in tags.pop("scalars")
    }
    plugins = {
        tag: session(metadata.plugin_data.content)
        for tag, metadata in events.summary_metadata.items()
    }
    return scalars, plugins, tags, events.file_version


def test_it_is_read_as_torch_s_writer_s_file(tmp_path):
    found = []
    for name, writer in (("ours", EventFile), ("torch's", SummaryWriter)):
        fill(writer(tmp_path / name))
        (run,) = (path for path in (tmp_path / name).iterdir() if path.is_dir())
        found.append((read(tmp_path / name), read(run)))
    assert found[0] == found[1]
    (curves, *_), (reached, sessions, *_) = found[0]
    assert curves["Loss/Train"] == [(7, 2.0)]
    assert reached == {"hparam/best_valid_result": [(0, 0.25)]}
    assert len(sessions) == 3


def test_two_trainings_of_a_name_have_files_of_their_own(tmp_path):
    for value in (1, 2):
        EventFile(tmp_path).add_scalar("loss", value, 0)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_added_is_in_the_file_at_once(tmp_path):
    EventFile(tmp_path).add_scalar("loss", 1, 0)
    assert read(tmp_path)[0] == {"loss": [(0, 1.0)]}


def test_a_full_disk_is_one_clear_line(tmp_path):
    file = EventFile(tmp_path)
    file.path = Path("/dev/full")
    with pytest.raises(WriteError) as error:
        file.add_scalar("loss", 1, 0)
    assert str(error.value) == (
        "/dev/full cannot be written: No space left on device; free space there"
    )


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"Not a directory; mend that$"):
        EventFile(tmp_path / "file" / "stage")
