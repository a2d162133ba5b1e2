//go:build race

package main

// Under the race detector memory says little.
const raceDetector = true
