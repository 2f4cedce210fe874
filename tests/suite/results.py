"""Results of the runs of a suite, as small as they can be."""

from __future__ import annotations

from recbole_peterrec.suite.plan import Entry, Suite

SUITE = Suite("mine", "toy", (Entry("A", "A", {}), Entry("B", "B", {})), (1, 2), {})


def result(source, task, majority=0.5, train=8, **more):
    """``results.json`` of a run with a profile task."""
    record = {
        "instances": {"train": train, "valid": 1, "test": 2},
        "test": {"hit@1": task},
        "label_cs": {"test": {"hit@1": majority}},
        "trainable_parameters": 5,
        "total_parameters": 20,
        "seconds": 2.0,
        "judged_by": "rows of the task",
        **more,
    }
    pretrain = {"test": {}, "epochs": 0, "seconds": 0.0}
    if source:
        pretrain = {"test": {"mrr@5": source}, "epochs": 3, "seconds": 1.0}
        pretrain["judged_by"] = "rows of the source"
    return {"pretrain": pretrain, "tasks": {"age": record}}


def judged(results, source, task):
    """Results of stages that are judged by what is named."""
    results["pretrain"]["judged_by"] = source
    results["tasks"]["age"]["judged_by"] = task
    return results


RUNS = {
    "A": {1: result(0.1, 0.5), 2: result(0.3, 0.75)},
    "B": {1: result(None, 0.25), 2: result(None, 0.25)},
}
