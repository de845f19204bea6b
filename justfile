# `just` alone lists what there is.

[private]
default:
    @just --list

# Everything that CI runs.
[group('check')]
ci:
    .ci/run

# Formatting and lints.
[group('check')]
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# Format everything.
[group('check')]
fmt:
    cargo fmt

# All tests, on real servers.
[group('test')]
test *FILTER:
    cargo test {{ FILTER }}

# The tests that need no servers.
[group('test')]
test-alone *FILTER:
    CRONWRIGHT_TEST_SERVERS=none cargo test {{ FILTER }}

# One benchmark: ledger, trigger, validate.
[group('test')]
bench NAME:
    cargo bench --bench {{ NAME }}

# The daemon on jobs.d and SQLite.
[group('run')]
serve:
    cargo run --release -- serve

# The whole path on MongoDB and Redis.
[group('run')]
demo:
    examples/demo.sh

# Write the generated JSON Schemas anew.
[group('run')]
schema:
    SNAPSHOTS=overwrite cargo test the_committed_schemas_are_up_to_date
