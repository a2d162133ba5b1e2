//go:build !race

package collect_test

const raceDetector = false
