// Package conformance holds the embedded broker against clients that are not
// tributary's: their own test suites, programs on them, and Apache Kafka's tools. It
// is a module of its own, so that their dependencies are not tributary's.
//
// It has tests only. What they did is the section of docs/kafka.md that they write
// with
//
//	go test -timeout 20m -update
//
// and hold against what they find without: a test of others that fails, or that is
// skipped without standing in [skips] with its reason, fails here too.
package conformance
