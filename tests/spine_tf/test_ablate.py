"""An ablation from end to end: killed, out of time, with a failure, never on the test split."""

import csv
import json
import subprocess
import time

import psutil
import pytest

pytestmark = pytest.mark.slow

_FLAGS = (
    "--task=multiclass",
    "--model=simple",
    "--roi_px=32",
    "--num_folds=2",
    "--set=data.inner_fold=none",
    "--set=training.epochs=2",
    "--set=model.filters=[4]",
    "--set=model.weights=/nowhere/weights.h5",
    "--factors=window=crop,slice",
    "--variant=lost weights:model=resnet50",
    "--workers=1",
)


def _command(data_dir, work_dir, *flags, python=("warm-python", "-m")):
    directories = (f"--data_dir={data_dir}", f"--work_dir={work_dir}")
    return [*python, "spine_tf.ablate", *directories, *_FLAGS, *flags]


def _run(*arguments, expected=0):
    done = subprocess.run(_command(*arguments), capture_output=True, text=True)
    assert done.returncode == expected, done.stderr
    return done


def _rows(work_dir):
    with (work_dir / "ablation.csv").open(newline="") as file:
        return {row["variant"]: row for row in csv.DictReader(file)}


def _is_zombie(process):
    """Whether it is dead and only waits for whoever inherited it to notice."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="module")
def killed(killable, small_data_dir, tmp_path_factory):
    """A work directory whose ablation was killed while the second fold of the base trained."""
    work_dir = tmp_path_factory.mktemp("ablation") / "w"
    program = subprocess.Popen(
        _command(small_data_dir, work_dir, python=killable),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    first = work_dir / "variants/base/seed_0/fold_0/metrics.json"
    while not first.is_file():
        assert program.poll() is None
        time.sleep(0.02)
    children = psutil.Process(program.pid).children(recursive=True)
    program.kill()
    program.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not [child for child in alive if not _is_zombie(child)]
    return work_dir


@pytest.fixture(scope="module")
def finished(killed, small_data_dir):
    """The same after it was resumed, with test shards that nobody could read."""
    assert set(_rows(killed)) == {"base", "window=crop", "lost weights"}
    shards = list(killed.glob("records/*/lumbar_spine-test.*"))
    assert shards
    for path in shards:
        path.write_bytes(bytes(path.stat().st_size))
    stopped = _run(small_data_dir, killed, "--resume", "--max_minutes=0.01")
    assert "0 finished, 0 failed, 3 not run" in stopped.stderr
    trained = killed / "variants/base/seed_0/fold_0/model.keras"
    before = trained.stat().st_mtime_ns
    done = _run(small_data_dir, killed, "--resume")
    assert trained.stat().st_mtime_ns == before
    return killed, done


def test_killed_ablation_goes_on_and_a_failure_is_a_row(finished):
    work_dir, done = finished
    rows = _rows(work_dir)
    assert [row["status"] for row in rows.values()] == ["finished", "finished", "failed"]
    assert "/nowhere/weights.h5" in rows["lost weights"]["reason"]
    assert rows["window=crop"]["num_shared"] == rows["base"]["num_examples"]
    assert float(rows["window=crop"]["log_loss_difference"]) != 0.0
    assert rows["window=crop"]["accuracy_difference_low"]
    assert "| lost weights | failed:" in done.stdout
    assert "2 finished, 1 failed, 0 not run" in done.stderr


def test_variants_have_the_same_folds(finished):
    work_dir, _ = finished

    def studies(variant, fold):
        path = work_dir / f"variants/{variant}/seed_0/{fold}/predictions.csv"
        with path.open(newline="") as file:
            return {row["key"] for row in csv.DictReader(file)}

    for fold in ("fold_0", "fold_1"):
        assert studies("base", fold) == studies("window=crop", fold)
    test_keys = [
        key
        for path in work_dir.glob("records/*/plan.json")
        for part in json.loads(path.read_text())["shards"]
        if part["split"] == "test"
        for key in part["keys"]
    ]
    seen = studies("base", "fold_0") | studies("base", "fold_1")
    assert test_keys
    assert not seen & set(test_keys)


def test_equal_regions_share_their_records(finished):
    work_dir, _ = finished
    assert {path.name for path in (work_dir / "records").iterdir()} == {
        "50mm_32px_1slices_slice_mirrored",
        "50mm_32px_1slices_crop_mirrored",
    }


def test_page_opens(finished, browser):
    work_dir, _ = finished
    path = work_dir / "ablation.html"
    browser.open(path)
    assert browser.requested() == [path.as_uri()]
    assert browser.logged() == []
    assert "/nowhere/weights.h5" in browser.driver.find_element("id", "table").text
    assert len(browser.driver.find_elements("css selector", "#differences figure svg")) == 3


def test_ablation_is_not_overwritten_nor_continued_with_another_base(finished, small_data_dir):
    work_dir, _ = finished
    before = (work_dir / "ablation.csv").read_bytes()
    refused = _run(small_data_dir, work_dir, expected=1)
    assert "holds an ablation: go on with it by --resume" in refused.stderr
    refused = _run(small_data_dir, work_dir, "--resume", "--set=training.epochs=3", expected=1)
    assert "config.training.epochs is 2, now 3" in refused.stderr
    assert (work_dir / "ablation.csv").read_bytes() == before


def test_directory_of_something_else_is_refused(small_data_dir, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    refused = _run(small_data_dir, tmp_path, "--resume", expected=1)
    assert "holds other files" in refused.stderr
