"""What a user gave of a mapping, and a later file or flag of his leaves out, is told."""

import pytest
import yaml

from recbole_peterrec.config import Config
from recbole_peterrec.runs.unread import tell_left_out

SPLIT = {"split": {"RS": [0.6, 0.2, 0.2]}}


def files(tmp_path, *contents):
    paths = []
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        paths.append(str(path))
    return paths


@pytest.mark.parametrize(
    ("contents", "flags", "lost"),
    [
        (
            [{"eval_args": SPLIT | {"order": "RO"}}],
            ["--eval_args={mode: uni9}"],
            {"eval_args": ["split", "order"]},
        ),
        (
            [{"eval_args": SPLIT}, {"eval_args": {"order": "RO"}}],
            [],
            {"eval_args": ["split"]},
        ),
        (  # an explicit other value is a user's choice
            [{"eval_args": SPLIT}],
            ["--eval_args={split: {LS: valid_and_test}}"],
            {},
        ),
        ([{"eval_args": {"order": "TO"}}], ["--eval_args={mode: uni9}"], {}),
        ([{"eval_args": {"mode": "full"}}], ["--eval_args={order: TO}"], {}),
        (
            [{"eval_args": {"mode": "uni9"}}],
            ["--eval_args={order: TO}"],
            {"eval_args": ["mode"]},
        ),
        (  # left out, and given again
            [{"eval_args": SPLIT}, {"eval_args": {"order": "RO"}}],
            [f"--eval_args={SPLIT}"],
            {"eval_args": ["order"]},
        ),
        ([{"eval_args": SPLIT}, {"epochs": 3}], ["--topk=[5]"], {}),
        (
            [
                {"task_defaults": {"profile": {"epochs": 3, "topk": [1]}}},
                {"task_defaults": {"recommendation": {"epochs": 2}}},
            ],
            [],
            {"task_defaults: profile": ["epochs"]},  # topk is the default
        ),
        (
            [{"task_defaults": {"recommendation": {"eval_args": SPLIT}}}],
            ["--task_defaults={recommendation: {eval_args: {mode: uni9}}}"],
            {"eval_args of task_defaults: recommendation": ["split"]},
        ),
        ([{"task_defaults": {"profile": {"epochs": 3}}}], ["--epochs=4"], {}),
        (  # what applies anyway
            [
                {
                    "task_defaults": {
                        "profile": {"topk": 1, "learner": "adam"},
                        "recommendation": {"metrics": ["Hit", "MRR"]},
                    }
                }
            ],
            ["--task_defaults={profile: {epochs: 2}}"],
            {},
        ),
        ([{"eval_args": {"mode": None}}], ["--eval_args={order: TO}"], {}),
    ],
    ids=str,
)
def test_parts_that_a_later_source_lacks_are_told(
    tmp_path, caplog, contents, flags, lost
):
    config = Config("PeterRec", "ml-100k", files(tmp_path, *contents), arguments=flags)
    assert config.left_out == lost
    tell_left_out(config)
    messages = [record.message for record in caplog.records]
    assert len(messages) == len(lost)
    for message, (where, parts) in zip(messages, lost.items(), strict=True):
        key = "task_defaults" if "task_defaults" in where else "eval_args"
        assert message.startswith(f"{where}: what was given for {', '.join(parts)} ")
        assert f"gives {key} anew" in message


def test_a_saved_config_s_defaults_are_no_wish(tmp_path):
    saved = Config("PeterRec", "ml-100k", config_dict={"eval_args": SPLIT}).resolved()
    config = Config(
        config_file_list=files(tmp_path, saved), arguments=["--eval_args={order: TO}"]
    )
    assert config.left_out == {"eval_args": ["split"]}
    saved = Config("PeterRec", "ml-100k").resolved()
    config = Config(
        config_file_list=files(tmp_path, saved),
        arguments=[
            "--eval_args={mode: uni9}",
            "--task_defaults={profile: {epochs: 2}}",
        ],
    )
    assert config.left_out == {}
