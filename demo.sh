#!/usr/bin/env bash
# The main job on synthetic studies: phantom, convert, search, train, evaluate, export, predict
# with points and without.
# Usage: BIN=directory-of-python bash demo.sh OUTPUT_DIR
set -euo pipefail

out=$1
python=${BIN:+$BIN/}python
rm -rf "$out"
mkdir -p "$out"

step() {
  printf '\n== %s\n   %s\n' "$1" "${*:2}"
  "$python" -m "${@:2}"
}

step "Synthetic studies" spine_tf.phantom --output_dir "$out/data" --num_studies 120
step "DICOM to TFRecords" spine_tf.convert --data_dir "$out/data" --output_dir "$out/records" \
  --levels all --roi_px 64
step "Check every record" tfrecords verify "$out/records"
step "Search small families" tuner --records_dir "$out/records" --task multiclass \
  --models dense,residual --search_dir "$out/search" --max_trials 4 --max_epochs 6
step "One ResNet-50 at 64 px" tuner --records_dir "$out/records" --task multiclass \
  --models resnet50 --search_dir "$out/search_resnet50" --max_trials 1 --max_epochs 1 \
  --set model.weights=none
step "Train the best on all folds" spine_tf.train --records_dir "$out/records" \
  --config "$out/search/best.json" --val_fold all --epochs 20 --run_dir "$out/run"
step "Out-of-fold report" spine_tf.evaluate --run_dir "$out/run" --records_dir "$out/records" \
  --split oof --report_dir "$out/report"
step "Test report" spine_tf.evaluate --run_dir "$out/run" --records_dir "$out/records" \
  --split test --report_dir "$out/report_test"
step "Export" spine_tf.export --run_dir "$out/run" --export_dir "$out/export"
step "Predict" spine_tf.predict --model_dir "$out/export" --data_dir "$out/data" \
  --side train --output "$out/submission.csv"
step "Studies without points: find, grade, draw" spine_tf.predict --model_dir "$out/export" \
  --data_dir "$out/data" --side test --output "$out/without_points.csv" --report_dir "$out/pages"

cat <<END

Done. Open
  $out/report/report.html            the report: figures with intervals, pictures
  $out/records/contact_sheet.png     the crops that were learned from
  $out/search/search.html            the search, trial by trial
  $out/export/saved_model/1          the SavedModel
  $out/submission.csv                the predictions
  $out/pages/index.html              two studies without points: slices, levels, grades, doubts
The commands after "next:" run once the environment is on: . ${BIN:-.venv/bin}/activate
END
