// Package dumplog prints what is in the files of a log, our own or Apache Kafka's: segments with their records, indexes,
// snapshots of producers, checkpoints. [File] prints one file, as a table, as JSON or as Kafka's DumpLogSegments does. What
// stands where in the files is known to internal/commitlog; here is only what it looks like, and what the records of the
// internal topics mean.
package dumplog
