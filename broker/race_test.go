//go:build race

package broker_test

// raceEnabled says that the race detector watches, which multiplies what memory is taken.
const raceEnabled = true
