"""What a user can get wrong ends with status 2, one line that helps, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest

from recbole_peterrec.cli import main
from tests.toy import (
    INTER,
    TARGET,
    TASKS,
    USER,
    command_line,
    files_below,
    inter_rows,
    toy_flags,
    user_rows,
    write_config,
    write_table,
    write_toy,
)

GENDER = TASKS[0]


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Path:
    """The toy's datasets, to be copied before anything is broken."""
    return write_toy(tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, clean) -> Path:
    """A finished run directory."""
    folder = tmp_path_factory.mktemp("pretrained")
    config = write_config(
        folder / "toy.yaml", clean, run_dir=str(folder / "run"), tasks=[GENDER]
    )
    assert main([*toy_flags(config), "--show_progress=False"]) == 0
    return folder / "run"


class Case:
    """One command line in an empty directory, on a dataset that a test may break."""

    def __init__(self, folder: Path, clean: Path, capsys) -> None:
        self.data = folder / "data"
        self.here = folder / "here"
        self.folder = folder
        self.capsys = capsys
        shutil.copytree(clean, self.data)
        self.here.mkdir()
        self.stderr = ""

    @property
    def inter(self) -> Path:
        return self.data / "toy" / "toy.inter"

    @property
    def user(self) -> Path:
        return self.data / "toy" / "toy.user"

    def run(self, *flags: str, model: str = "PeterRec", **keys) -> int:
        """Exit status of a run with other keys and more flags."""
        config = write_config(self.folder / "toy.yaml", self.data, **keys)
        status = main([*toy_flags(config, model), "--show_progress=False", *flags])
        self.stderr = self.capsys.readouterr().err
        return status

    def error(self, *flags: str, model: str = "PeterRec", **keys) -> str:
        """The message of a run that is refused before it writes anything."""
        status = self.run(*flags, model=model, **keys)
        message = the_error(status, self.stderr)
        assert list(self.here.iterdir()) == []
        return message


def the_error(status: int, stderr: str) -> str:
    """The one line for the error; fails if there is a traceback, or more or less than a line."""
    assert status == 2
    assert "Traceback" not in stderr
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert stderr.splitlines()[-1] == lines[0]
    message = lines[0].removeprefix("error: ")
    assert len(message) < 500
    return message


@pytest.fixture
def case(tmp_path, clean, capsys, monkeypatch) -> Case:
    made = Case(tmp_path, clean, capsys)
    monkeypatch.chdir(made.here)
    capsys.readouterr()
    return made


def holds(message: str, *words: str) -> None:
    for word in words:
        assert word in message


# --- files and columns of the source


def test_missing_dataset_names_the_folder_and_what_to_do(case):
    message = case.error("--dataset=nowhere", "--show_progress=False")
    holds(message, "nowhere", str(case.data), "nowhere.inter", "data_path")


def test_missing_inter_file_is_named(case):
    case.inter.unlink()
    holds(case.error(), str(case.inter), "not found")


def test_missing_user_file_is_named_with_its_task(case):
    case.user.unlink()
    holds(case.error(), "gender", str(case.user), "not found")


def test_missing_column_is_named_with_the_nearest(case):
    rows = inter_rows(60, 30, 1, 4, 12)
    write_table(
        case.inter, ("user_id:token", "item_ids:token", "rating:float", INTER[3]), rows
    )
    holds(case.error(), str(case.inter), "'item_id'", "did you mean 'item_ids'")


def test_missing_timestamp_is_named(case):
    write_table(
        case.inter, INTER[:3], [row[:3] for row in inter_rows(60, 30, 1, 4, 12)]
    )
    holds(case.error(), str(case.inter), "'timestamp'", "user_id, item_id, rating")


def test_file_without_a_typed_header_is_refused(case):
    write_table(
        case.inter, ("user_id", "item_id", "rating", "timestamp"), [("u1", "i1", 1, 1)]
    )
    holds(case.error(), str(case.inter), "name:type", "'user_id'")


def test_time_that_is_not_loaded_is_no_traceback(case):
    """RecBole's own default of load_col leaves the timestamp out."""
    status = case.run(load_col={"inter": ["user_id", "item_id"]}, tasks=[GENDER])
    if status:
        holds(the_error(status, case.stderr), "timestamp", "load_col")


def test_file_of_zero_bytes_is_refused(case):
    case.inter.write_text("")
    holds(case.error(), str(case.inter))


def test_file_with_a_header_only_is_refused(case):
    write_table(case.inter, INTER, [])
    holds(case.error(), "source", "toy", "no interaction")


def test_bytes_that_are_not_text_are_refused(case):
    case.inter.write_bytes(b"\xff\xfe\x80 user_id:token\titem_id:token\n\xff")
    holds(case.error(), str(case.inter))


def test_latin_1_rows_are_refused_with_the_file(case):
    with open(case.inter, "ab") as file:
        file.write("u1\ti\xe9\t3\t99\n".encode("latin-1"))
    holds(case.error(), str(case.inter))


def test_word_in_a_column_of_numbers_is_refused_with_the_file(case):
    with open(case.inter, "a") as file:
        file.write("u1\ti1\t3\tyesterday\n")
    holds(case.error(), str(case.inter))


@pytest.mark.parametrize("model", ["PeterRec", "GRec"])
def test_no_user_with_two_interactions_is_refused(case, model):
    write_table(case.inter, INTER, [(f"u{i}", f"i{i}", 3, i) for i in range(20)])
    holds(case.error(model=model), "source", "toy", "no user", "two interactions")


def test_interval_that_leaves_no_interaction_names_the_keys(case):
    message = case.error(user_inter_num_interval="[1000,inf)")
    holds(message, "source", "toy", "user_inter_num_interval")


def test_val_interval_that_leaves_no_interaction_names_the_key(case):
    holds(case.error(val_interval={"rating": "[9,9]"}), "source", "toy", "val_interval")


def test_malformed_interval_is_refused(case):
    holds(case.error(user_inter_num_interval="five or so"), "five or so")


# --- tasks


def test_task_column_that_is_not_there_suggests_the_nearest(case):
    task = {"name": "sex", "kind": "profile", "field": "gendr"}
    holds(
        case.error(tasks=[task]),
        "'sex'",
        str(case.user),
        "'gendr'",
        "did you mean 'gender'",
    )


def test_task_column_with_one_value_is_refused(case):
    write_table(
        case.user, USER, [(user, age, "F") for user, age, _ in user_rows(60, 2)]
    )
    holds(case.error(), "'gender'", "one value", "'F'")


def test_one_bracket_is_one_value(case):
    task = {**TASKS[1], "bins": [200]}
    holds(case.error(tasks=[task]), "'age'", "one value", "'<200'")


def test_task_without_any_user_of_the_source_is_refused(case):
    write_table(case.user, USER, [(f"x{i}", 20 + i, "FM"[i % 2]) for i in range(30)])
    holds(case.error(), "'gender'", "none of its 30 users", "toy", "user_id")


def test_users_without_a_source_sequence_are_reported_and_left_out(case):
    rows = user_rows(60, 2) + [(f"x{i}", 20 + i, "FM"[i % 2]) for i in range(7)]
    write_table(case.user, USER, rows)
    assert case.run("--run_dir=run", tasks=[GENDER]) == 0
    assert "7 users without a source sequence" in case.stderr
    task = json.loads((case.here / "run" / "results.json").read_text())["tasks"][
        "gender"
    ]
    assert task["unmatched_users"] == 7
    assert sum(task["instances"].values()) == 60


def test_users_of_a_target_domain_are_matched_by_token_or_refused(case):
    write_table(
        case.data / "shop" / "shop.inter",
        INTER,
        [("x1", "p1", 3, 1), ("x2", "p2", 3, 2)],
    )
    holds(case.error(tasks=[TARGET]), "'buy'", "none of its 2 users")


def test_missing_target_dataset_is_named_with_its_task(case):
    task = {**TARGET, "dataset": "shopp"}
    holds(case.error(tasks=[task]), "'buy'", "'shopp'", "not found")


def test_target_interval_that_leaves_nothing_is_refused(case):
    task = {**TARGET, "val_interval": {"rating": "[9,9]"}}
    holds(case.error(tasks=[task]), "'buy'", "shop", "val_interval")


def test_more_negatives_than_there_are_is_refused(case):
    task = {**TARGET, "eval_args": {**TARGET["eval_args"], "mode": "uni99"}}
    holds(case.error(tasks=[task]), "'buy'", "99 negatives", "eval_args")


def test_duplicated_task_names_are_refused(case):
    holds(case.error(tasks=[GENDER, TASKS[1], GENDER]), "'gender'", "twice")


@pytest.mark.parametrize("name", ["../out", "a/b", ".", "..", "", "two words", "nul\0"])
def test_task_name_that_is_no_folder_name_is_refused(case, name):
    holds(case.error(tasks=[{**GENDER, "name": name}]), "name")


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([], ("tasks", "empty list", "--model=NextItNetAR pretrains")),
        (None, ("tasks must be a list", "got None", "name: gender")),
        ({"name": "gender"}, ("tasks", "list")),
        (["gender"], ("entry 1", "name")),
        ([{"kind": "profile", "field": "gender"}], ("entry 1", "name")),
        (
            [{"name": "g", "kind": "profil", "field": "gender"}],
            ("'g'", "did you mean 'profile'"),
        ),
        ([{"name": "g", "field": "gender"}], ("'g'", "kind")),
        ([{"name": "g", "kind": "profile"}], ("'g'", "field")),
        ([{**TASKS[1], "bins": [40, 20]}], ("'age'", "bins", "increasing")),
        ([{**TASKS[1], "bins": ["young", "old"]}], ("'age'", "bins", "numbers")),
        ([{**TASKS[1], "bins": [20, "old"]}], ("'age'", "bins", "numbers")),
        ([{**TASKS[1], "bins": 20}], ("'age'", "bins")),
        ([{**GENDER, "bins": [1]}], ("'gender'", "no numbers")),
        ([{**GENDER, "loss_type": "MSE"}], ("'gender'", "loss_type", "CE")),
        ([{**GENDER, "metrics": ["Hitt"]}], ("'gender'", "Hitt")),
        (
            [{**GENDER, "learning_rte": 0.1}],
            ("'gender'", "did you mean 'learning_rate'"),
        ),
        ([{**GENDER, "fild": "x"}], ("'gender'", "did you mean 'field'")),
        ([{**GENDER, "pooling": "tcl_start"}], ("'gender'", "Fig. 2b")),
        ([{**GENDER, "learning_rate": "fast"}], ("'gender'", "learning_rate")),
        ([{**TARGET, "val_interval": {"rating": "[low,5]"}}], ("'buy'", "[low,5]")),
        (
            [{**TARGET, "val_interval": {"ratng": "[4,5]"}}],
            ("'buy'", "did you mean 'rating'"),
        ),
    ],
    ids=str,
)
def test_task_that_cannot_be_is_refused_by_name(case, tasks, words):
    holds(case.error(tasks=tasks), *words)


def test_split_that_leaves_a_part_empty_names_its_task_once(case):
    split = {"eval_args": {"split": {"RS": [1, 0, 0]}}}
    message = case.error(tasks=[{**GENDER, **split}])
    assert message.startswith("task 'gender': 60/0/0 instances in train/valid/test")


# --- names and values of keys


@pytest.mark.parametrize(
    ("key", "wrong", "right"),
    [
        ("patch_insertion", "serial_before_nrm", "serial_before_norm"),
        ("pooling", "tcl_ennd", "tcl_end"),
        ("tuning", "pach", "patch"),
        ("norm", "pst", "post"),
        ("patch_activation", "rellu", "relu"),
        ("backbone", "NextItNetARR", "NextItNetAR"),
        ("valid_metric", "MMR@5", "mrr"),
        ("metrics", ["MMR"], "mrr"),
    ],
)
def test_unknown_name_is_refused_with_the_right_one(case, key, wrong, right):
    message = case.error(**{key: wrong})
    wrong = wrong[0] if isinstance(wrong, list) else wrong
    assert wrong.lower() in message.lower()
    assert right.lower() in message.lower()


@pytest.mark.parametrize("wrong", ["PeterRek", "NextItNetArr", "FineAl", "SASRek"])
def test_unknown_model_suggests_the_nearest(case, wrong):
    right = {"P": "PeterRec", "N": "NextItNetAR", "F": "FineAll", "S": "SASRec"}[
        wrong[0]
    ]
    holds(case.error(model=wrong), repr(wrong), f"did you mean {right!r}")


def test_model_that_is_no_sequence_model_is_refused(case):
    holds(case.error(model="BPR"), "BPR", "sequential")


def test_unknown_flag_suggests_the_nearest(case):
    holds(
        case.error("--learning_rte=0.1"),
        "'learning_rte'",
        "did you mean 'learning_rate'",
    )


def test_unknown_key_of_a_file_suggests_the_nearest(case):
    holds(
        case.error(patch_reducton=4),
        "'patch_reducton'",
        "did you mean 'patch_reduction'",
    )


def test_patch_reduction_that_does_not_divide_the_width_is_refused(case):
    holds(case.error(patch_reduction=3), "patch_reduction 3", "embedding_size 8")


@pytest.mark.parametrize("count", [0, 3, "two"])
def test_patch_count_that_no_figure_has_is_refused(case, count):
    keys = {"patch_count": count, "patch_insertion": "serial_before_norm"}
    holds(case.error(**keys), "patch_count", "1 or 2")


def test_token_at_the_start_is_refused_with_the_paper_s_reason(case):
    holds(case.error(pooling="tcl_start"), "tcl_start", "Fig. 2b", "tcl_end")


def test_tokens_at_both_ends_of_a_causal_network_are_refused(case):
    holds(
        case.error(pooling="tcl_both", backbone="NextItNetAR"), "tcl_both", "non-causal"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("embedding_size", -8),
        ("embedding_size", "wide"),
        ("kernel_size", 0),
        ("block_num", 1.5),
        ("dilations", [0]),
        ("dilations", 3),
        ("dilations", []),
        ("dropout_prob", 1.5),
        ("dropout_prob", "some"),
        ("head_dropout", -1),
        ("learning_rate", "fast"),
        ("learning_rate", -1.0),
        ("weight_decay", "some"),
        ("head_weight_decay", -0.1),
        ("epochs", "many"),
        ("pretrain_epochs", -1),
        ("train_batch_size", 0),
        ("train_batch_size", "big"),
        ("eval_batch_size", 0),
        ("MAX_ITEM_LIST_LENGTH", 0),
        ("MAX_ITEM_LIST_LENGTH", "long"),
        ("seed", "lucky"),
        ("seed", -1),
        ("stopping_step", "soon"),
        ("topk", 0),
        ("topk", "five"),
        ("softmax_samples", "half"),
        ("softmax_samples", 1000),
        ("window_overlap", 1.0),
        ("tune_layers", 9),
        ("patch_reduction", 0),
        ("patch_reduction", "eight"),
        ("patch_cardinality", 0),
        ("eval_args", {"split": {"RS": [0.8, 0.1]}, "order": "RO", "mode": "full"}),
        (
            "eval_args",
            {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "fulll"},
        ),
        ("eval_args", "full"),
        ("val_interval", "[4,5]"),
        ("loss_type", "BPR"),
        ("valid_metric", "MRR@7"),
    ],
    ids=str,
)
def test_value_that_cannot_be_is_refused_with_its_key(case, key, value):
    extra = {"tuning": "last"} if key == "tune_layers" else {}
    holds(case.error(tasks=[GENDER], **{key: value}, **extra), key)


def test_even_kernel_of_a_non_causal_backbone_is_refused(case):
    holds(case.error(backbone="GRec", kernel_size=4), "kernel_size", "odd")


@pytest.mark.parametrize("value", [0.0, 1.0, "some"])
def test_mask_ratio_out_of_range_is_refused(case, value):
    holds(case.error(backbone="GRec", mask_ratio=value), "mask_ratio")


# --- saved backbones


def error_with(case: Case, path: Path, **keys) -> str:
    return case.error(pretrained_path=str(path), tasks=[GENDER], **keys)


@pytest.fixture
def saved(pretrained, tmp_path) -> Path:
    """A copy of the finished run, to be broken."""
    return Path(shutil.copytree(pretrained, tmp_path / "saved run"))


def test_pretrained_path_that_is_not_there_is_named(case):
    holds(error_with(case, case.folder / "nowhere"), str(case.folder / "nowhere"))


def test_pretrained_path_without_a_run_is_named(case):
    holds(error_with(case, case.data), str(case.data))


def test_backbone_of_other_items_is_refused(case, saved):
    with open(case.inter, "a") as file:
        file.write("u1\tanother\t3\t99\n")
    holds(error_with(case, saved), str(saved), "item vocabulary", "30", "31")


def test_backbone_of_as_many_other_items_is_refused(case, saved):
    case.inter.write_text(case.inter.read_text().replace("\ti7\t", "\tj7\t"))
    holds(error_with(case, saved), str(saved), "item vocabulary")


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("embedding_size", 16, "16"),
        ("dilations", [2], "2"),
        ("block_num", 2, "dilations"),
        ("norm", "pre", "pre"),
        ("kernel_size", 2, "2"),
    ],
)
def test_backbone_of_another_architecture_is_refused(case, saved, key, value, shown):
    key_shown = "dilations" if key == "block_num" else key
    holds(error_with(case, saved, **{key: value}), str(saved), key_shown, shown)


def test_backbone_of_another_model_is_refused(case, saved):
    holds(error_with(case, saved, backbone="GRec"), str(saved), "NextItNetAR", "GRec")


@pytest.mark.parametrize("name", ["backbone.safetensors", "backbone.json"])
@pytest.mark.parametrize(
    "fault", ["missing", "truncated", "empty", "foreign", "pickle", "folder"]
)
def test_damaged_backbone_file_is_refused_by_name(case, saved, name, fault):
    path = saved / name
    content = path.read_bytes()
    path.unlink()
    if fault == "folder":
        path.mkdir()
    elif fault != "missing":
        path.write_bytes(
            {
                "truncated": content[: len(content) // 2],
                "empty": b"",
                "foreign": b"\x89PNG\r\n\x1a\n" + bytes(64),
                "pickle": b"cos\nsystem\n(S'touch executed'\ntR.",
            }[fault]
        )
    holds(error_with(case, saved), str(path))


@pytest.mark.parametrize(
    "header",
    [
        {},
        [],
        {"format": 2},
        {"format": 1, "model": "NextItNetAR"},
        {
            "format": 1,
            "model": "NextItNetAR",
            "architecture": [],
            "vocabulary": 3,
            "pretrain": {},
        },
        {"format": 1, "model": 1, "architecture": {}, "vocabulary": {}, "pretrain": {}},
    ],
    ids=str,
)
def test_foreign_json_as_backbone_header_is_refused(case, saved, header):
    (saved / "backbone.json").write_text(json.dumps(header))
    holds(error_with(case, saved), str(saved))


@pytest.mark.parametrize("record", [3, "none", {}, {"valid": 1}], ids=str)
def test_foreign_pretraining_record_is_refused_before_anything_is_trained(
    case, saved, record
):
    header = json.loads((saved / "backbone.json").read_text()) | {"pretrain": record}
    (saved / "backbone.json").write_text(json.dumps(header))
    holds(error_with(case, saved), str(saved))


def test_tensors_of_another_shape_under_a_fitting_header_are_refused(case, saved):
    shutil.copy(saved / "pretraining_head.safetensors", saved / "backbone.safetensors")
    holds(error_with(case, saved), str(saved / "backbone.safetensors"))


# --- config files and flags


@pytest.mark.parametrize(
    "text",
    [
        "tasks: [",
        "a: b: c",
        "\tx: 1",
        "x: &a [*b]",
        "!!python/object:os.system x",
        "\0",
    ],
)
def test_malformed_yaml_is_refused_with_its_file(case, text):
    path = case.folder / "broken.yaml"
    path.write_text(text)
    assert main(["--dataset=toy", f"--config_files={path}"]) == 2
    holds(the_error(2, case.capsys.readouterr().err), str(path))
    assert list(case.here.iterdir()) == []


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "just words", "3"])
def test_yaml_that_is_no_mapping_is_refused(case, text):
    path = case.folder / "broken.yaml"
    path.write_text(text)
    status = main(["--dataset=toy", f"--config_files={path}"])
    holds(the_error(status, case.capsys.readouterr().err), str(path), "key: value")


def test_missing_config_file_is_named(case):
    status = main(["--dataset=toy", "--config_files=nowhere.yaml"])
    holds(the_error(status, case.capsys.readouterr().err), "nowhere.yaml")


@pytest.mark.parametrize(
    "flag", ["--epochs", "epochs=1", "-epochs=1", "1", "--", "--=3"]
)
def test_malformed_flag_is_refused_with_what_it_must_look_like(case, flag):
    holds(case.error(flag), f"{flag!r}", "--key=value")


def test_flag_given_twice_with_different_values_is_refused(case):
    holds(case.error("--epochs=1", "--epochs=2"), "--epochs", "twice")


@pytest.mark.parametrize("flag", ["-m", "-d", "--model", "--dataset", "--config_files"])
def test_flag_at_the_end_without_its_value_is_refused(case, flag):
    status = main(["--epochs=none", "--data_path=nowhere", flag])  # never a whole run
    holds(the_error(status, case.capsys.readouterr().err), flag)
    assert list(case.here.iterdir()) == []


CODE = "__import__('os').system('touch {}')"


@pytest.mark.parametrize(
    "key", ["learning_rate", "seed", "epochs", "val_interval", "device"]
)
def test_code_in_a_flag_is_not_executed(case, key):
    trace = case.folder / "executed"
    with contextlib.suppress(Exception):  # how it is refused is tested above
        case.run(f"--{key}={CODE.format(trace)}")
    assert not trace.exists()


@pytest.mark.parametrize("key", ["learning_rate", "topk", "user_inter_num_interval"])
def test_code_in_a_file_is_not_executed(case, key):
    trace = case.folder / "executed"
    with contextlib.suppress(Exception):
        case.run(**{key: CODE.format(trace)})
    assert not trace.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": CODE},
        {"user_inter_num_interval": f"[{CODE},inf)"},
        {"val_interval": {"rating": f"[{CODE},5]"}},
        {"train_neg_sample_args": CODE},
    ],
    ids=lambda change: next(iter(change)),
)
def test_code_in_a_task_is_not_executed(case, change):
    trace = case.folder / "executed"
    text = json.dumps({**TARGET, **change}).replace("{}", str(trace))
    with contextlib.suppress(Exception):
        case.run(tasks=[json.loads(text)])
    assert not trace.exists()


# --- the run directory and training


def test_finished_run_is_not_written_over(case, pretrained):
    before = {
        name: (pretrained / name).read_bytes() for name in files_below(pretrained)
    }
    message = case.error(run_dir=str(pretrained), tasks=[GENDER])
    holds(message, str(pretrained), "already holds")
    assert {
        name: (pretrained / name).read_bytes() for name in files_below(pretrained)
    } == before


@pytest.mark.parametrize("key", ["run_dir", "checkpoint_dir"])
def test_place_that_is_a_file_is_refused(case, key):
    place = case.folder / "occupied"
    place.write_text("mine")
    holds(case.error(tasks=[GENDER], **{key: str(place)}), str(place))
    assert place.read_text() == "mine"


@pytest.mark.parametrize("stage", ["pretraining", "gender"])
def test_nan_loss_names_stage_epoch_and_batch(case, stage):
    keys = {"tasks": [GENDER], "train_batch_size": 16, "epochs": 3}
    if stage == "gender":
        keys["tasks"] = [{**GENDER, "learning_rate": 1e30}]
    else:
        keys["learning_rate"] = 1e30
    message = the_error(case.run("--run_dir=run", **keys), case.stderr)
    holds(message, stage, "NaN", "epoch", "batch", "learning_rate")
    left = files_below(case.here / "run")
    assert "results.json" not in left
    assert not any(name.startswith(f"tasks/{stage}") for name in left)
    if "nothing was saved" not in message:
        kept = next(
            word for word in message.replace(";", " ").split() if word.endswith(".pt")
        )
        assert Path(kept).is_file()


# --- as typed in a shell


def test_error_in_a_shell_is_one_line_and_status_2(tmp_path, clean):
    config = write_config(tmp_path / "toy.yaml", clean)
    done = command_line([*toy_flags(config), "--poling=sum"], tmp_path / "here")
    message = the_error(done.status, done.stderr)
    holds(message, "'poling'", "did you mean 'pooling'")
    assert done.stdout == ""
    assert list((tmp_path / "here").iterdir()) == []


def test_dataset_that_is_not_there_says_so_in_a_shell(tmp_path):
    done = command_line(["-m", "GRec", "-d", "toy"], tmp_path / "here")
    holds(the_error(done.status, done.stderr), "'toy' not found", "data_path")
    assert list((tmp_path / "here").iterdir()) == []
