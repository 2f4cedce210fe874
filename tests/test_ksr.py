"""RecBole's KSR, whose weights of entities come from files beside the interactions."""

from recbole_peterrec import run
from tests.toy import settings, write_toy

KEYS = {
    "load_col": {
        "inter": ["user_id", "item_id", "timestamp"],
        "kg": ["head_id", "relation_id", "tail_id"],
        "link": ["item_id", "entity_id"],
        "ent": ["ent_id", "ent_emb"],
        "rel": ["rel_id", "rel_emb"],
    },
    "additional_feat_suffix": ["ent", "rel"],
    "preload_weight": {"ent_id": "ent_emb", "rel_id": "rel_emb"},
    "alias_of_entity_id": ["ent_id"],
    "alias_of_relation_id": ["rel_id"],
    "kg_embedding_size": 2,
}


def test_its_weights_have_the_type_of_the_others(tmp_path):
    """The files' are float64, with which no product was possible."""
    data = write_toy(tmp_path / "data")
    entities = range(30)
    tables = {
        "kg": ["head_id:token\trelation_id:token\ttail_id:token"]
        + [f"e{n}\tr0\te{(n + 1) % 30}" for n in entities],
        "link": ["item_id:token\tentity_id:token"] + [f"i{n}\te{n}" for n in entities],
        "ent": ["ent_id:token\tent_emb:float_seq"]
        + [f"e{n}\t0.5 {n}.25" for n in entities],
        "rel": ["rel_id:token\trel_emb:float_seq", "r0\t0.5 0.25"],
    }
    for suffix, lines in tables.items():
        (data / "toy" / f"toy.{suffix}").write_text("\n".join(lines) + "\n")
    keys = settings(data, run_dir=str(tmp_path / "run"), state="ERROR") | KEYS
    del keys["tasks"], keys["patch_reduction"]
    results = run("KSR", "toy", config_dict=keys)["results"]
    assert results["pretrain"]["epochs"] == 1
