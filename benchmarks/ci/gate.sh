#!/usr/bin/env bash
# Compares two revisions in a checkout of dirtylog or of a fork: gate.sh [BASE] [HEAD] [TRACKER]. Several
# trackers are 'one|another'.
#
# What it found is in results/local/gate: the reports as text, asv's results and its pages. Exit
# status: 0 no change, 1 slower or an exact count that grew, 2 a benchmark failed, or no such tracker.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"

base=$(git rev-parse --verify "${1:-HEAD~1}^{commit}")
head=$(git rev-parse --verify "${2:-HEAD}^{commit}")
tracker=${3:-write_protect}
for name in ${tracker//|/ }; do
    grep -qx "    \"$name\"," benchmarks/common.py && continue
    echo "gate.sh: no $name in STRATEGIES of benchmarks/common.py" >&2
    exit 2
done

make .venv/ready
.venv/bin/asv check -E existing
found=results/local/gate
mkdir -p "$found"

# Exact counts first: any difference is one of the code, on whatever machine. Then the times of
# small slots; a shared machine moves them, so only what doubled counts.
status=0
for what in "exact 1.0001 track_exact_.*'($tracker)'" \
    "times 2 time_get_dirty_log.*'($tracker)', (16777216|268435456)"; do
    read -r name factor cells <<<"$what"
    result=0
    .venv/bin/asv continuous "$base" "$head" --factor "$factor" --bench "$cells" \
        2>&1 | tee "$found/$name.txt" || result=$?
    [ "$result" -le "$status" ] || status=$result
done

make history
cp -r .asv/html results/local/asv "$found"
exit "$status"
