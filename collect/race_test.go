//go:build race

package collect_test

// Under the race detector pools forget on purpose.
const raceDetector = true
