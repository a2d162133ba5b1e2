#!/usr/bin/env bash
# Runs every fuzz target of the module for a while: scripts/fuzz.sh [DURATION [PACKAGE...]]
# What it finds is kept under testdata/fuzz of the package, and fails the tests
# from then on.
set -euo pipefail
cd "$(dirname "$0")/.."
duration=${1:-10s}
shift $(($# > 0 ? 1 : 0))

grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' "${@:-.}" | sort | while IFS=: read -r file match; do
	target=${match#func }
	package=./$(dirname "${file#./}")
	echo "-- $package $target"
	# No input is read here: go test would swallow the list.
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$package" </dev/null
done
