// Package commitlog keeps partitions of records on disk: Kafka's RecordBatch v2 in Kafka's segment files, many
// partitions in one data directory.
//
// [OpenDir] locks a directory, recovers every partition in it and starts its flusher. A [Log] is one partition:
// [Log.Append] checks batches as a producer sent them, gives them offsets and writes them with one write;
// [Log.Read] finds a run of bytes of one segment file that can be sent to a consumer as it is.
//
// Two offsets matter. The log end offset is the next one to be given. The high watermark is what consumers may see:
// with [Fsync], the default, it is the offset up to which the disk holds everything, and [Log.NotifyFlushed] calls
// back once it has passed an offset. There are no replicas, so nothing that was not flushed is ever shown to a reader or
// reported as flushed: what a crash takes away, nobody has seen.
//
// The last stable offset is the third: below it every transaction is decided, and [Log.Aborted] tells of those that were
// aborted.
//
// Old records go by [Dir.EnforceRetention] and superseded ones by [Dir.Compact], both in the background.
//
// The package knows nothing of the network, of consumer groups or of where topic configurations are kept.
//
// docs/format/log.md describes every file it writes.
package commitlog
