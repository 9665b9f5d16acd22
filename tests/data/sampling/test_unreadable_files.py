import pytest

from core.checks import UserError
from core.data.sampling.unreadable_files import MAX_SHARE, MAX_UNREADABLE, UnreadableFiles


def test_each_file_is_named_once(caplog):
    files = UnreadableFiles()
    for _ in range(30):
        files.note(2, ["cannot decode a.jpg."])
    files.note(2, ["cannot decode b.jpg.", "cannot decode a.jpg."])
    assert files.num_files == 2
    assert [r.getMessage().split(".jpg")[0][-1] for r in caplog.records] == ["a", "b"]


def test_a_few_files_never_stop_a_run():
    files = UnreadableFiles()
    for number in range(MAX_UNREADABLE):
        files.note(1, [f"file {number}"])


def test_more_than_a_small_share_does():
    files = UnreadableFiles()
    enough = int(20 / MAX_SHARE)
    files.note(enough, [f"file {number}" for number in range(20)])
    with pytest.raises(UserError, match=r"21 files of the dataset .* the last: file 20"):
        files.note(0, ["file 20"])
