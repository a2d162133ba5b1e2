package commitlog

import "errors"

// Errors that Append, Read and the operations of a directory return, wrapped with what was being done.
var (
	// ErrCorrupt: a batch whose length or CRC does not hold.
	ErrCorrupt = errors.New("corrupt batch")
	// ErrUnsupportedFormat: a message set of Kafka's magic 0 or 1, or a magic nobody knows.
	ErrUnsupportedFormat = errors.New("unsupported message format")
	// ErrTooLarge: a batch over MaxMessageBytes, or an append over SegmentBytes.
	ErrTooLarge = errors.New("batch too large")
	// ErrInvalidRecord: a whole batch that says something a producer may not say.
	ErrInvalidRecord = errors.New("invalid record")
	// ErrInvalidTimestamp: a batch whose timestamp type is for the log to set, or a timestamp further from the clock than
	// TimestampBefore and TimestampAfter allow.
	ErrInvalidTimestamp = errors.New("invalid timestamp")
	// ErrOutOfOrderSequence: an idempotent producer's batch that does not follow its last one.
	ErrOutOfOrderSequence = errors.New("out of order sequence number")
	// ErrInvalidProducerEpoch: a batch of a producer that a newer one has replaced.
	ErrInvalidProducerEpoch = errors.New("invalid producer epoch")
	// ErrInvalidTxnState: a batch outside a transaction of a producer that has one open here.
	ErrInvalidTxnState = errors.New("invalid transaction state")
	// ErrCoordinatorFenced: a transaction marker of a coordinator that a newer one has replaced.
	ErrCoordinatorFenced = errors.New("transaction coordinator fenced")
	// ErrOffsetOutOfRange: an offset below the log start or beyond the log end.
	ErrOffsetOutOfRange = errors.New("offset out of range")
	// ErrNoRoom: an append that would have touched DiskReserve or passed DiskBudget.
	ErrNoRoom = errors.New("no room on the disk")
	// ErrOffline: an fsync of the data directory did not succeed, so nothing more is written to it.
	ErrOffline = errors.New("data directory offline")
	// ErrClosed: the log or its directory was closed, or the log deleted.
	ErrClosed = errors.New("log closed")
	// ErrExists: Create of a partition that is there already.
	ErrExists = errors.New("partition exists")
	// ErrNotFound: Delete of a partition that is not there.
	ErrNotFound = errors.New("no such partition")
	// ErrInvalidTopic: a topic name that Kafka does not allow.
	ErrInvalidTopic = errors.New("invalid topic name")
	// ErrLocked: another process has the data directory open.
	ErrLocked = errors.New("data directory in use")
	// ErrWrongNode: meta.properties belongs to another node or cluster.
	ErrWrongNode = errors.New("data directory belongs to another node")
)
