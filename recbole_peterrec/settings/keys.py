"""Keys that a config treats apart."""

from __future__ import annotations

FOLDERS = ("checkpoint_dir", "data_path")  # every run has them
RUNS = ("continue_from", "pretrained_path", "resume", "run_dir")
PATHS = (*FOLDERS, *RUNS)
# Of those, what a run's network comes from, and is told by where it is now.
STARTS_FROM = ("pretrained_path", "continue_from")
PROCESSES = ("nproc", "world_size", "ip", "port", "group_offset")
DEVICES = ("use_gpu", "gpu_id")
# Keys that RecBole lists and nothing reads: of a file that is named so, nothing would count.
UNREAD = ("config_file",)
# Keys of RecBole that no property file of it names.
RECBOLE_EXTRA = ("config_files", "dataset", "encoding", "model")
# Keys that models of RecBole read, and their own files do not have.
UNLISTED = {"FEARec": ("contrast", "sim", "tau", "use_filter"), "HRM": ("reg_weight",)}
# Keys that RecBole or a run works out for itself.
DERIVED = (
    "MODEL_TYPE",
    "MODEL_INPUT_TYPE",
    "config_files",
    "device",
    "eval_type",
    "local_rank",
    "resume",
    "run_dir",
    "single_spec",
    "stage",
    "test_neg_sample_args",
    "valid_metric_bigger",
    "valid_neg_sample_args",
)
# Keys whose text stays text, whatever it looks like.
TEXT = (
    *PATHS,
    "ip",
    "item_inter_num_interval",
    "reranker_CAN_NUM",
    "user_inter_num_interval",
    "wandb_project",
)
# Keys of names and signs, which may have brackets of their own: nothing without quotes is a list.
SIGNS = ("_FIELD", "_PREFIX", "_SUFFIX", "_separator")  # what they end with
