# For the scripts that run others: what they share.

# Everything is built once for each target and profile.
export CARGO_INCREMENTAL=0
# The same cases every time, as of the fuzzers.
export PROPTEST_RNG_SEED=1
# Runs a command under a heading with the seconds since the start.
step() { printf '\n== %s (%d s so far)\n' "$*" "$SECONDS"; "$@"; }
