"""What is there once the package is imported."""

from tests.toy import python

CODE = """
import recbole_peterrec as package

assert package.errors.ConfigError
assert package.run.__module__ == "recbole_peterrec.suite.dispatch"
assert hasattr(package, "__main__")
assert not hasattr(package, "erors")
print("and nothing is run")
"""


def test_modules_are_there_when_they_are_asked_for(tmp_path):
    done = python(["-c", CODE], tmp_path)
    assert (done.stdout, done.stderr) == ("and nothing is run\n", "")
