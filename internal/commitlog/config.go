package commitlog

import (
	"fmt"
	"log/slog"
	"math"
	"time"
)

// Durability says when a record counts as safe.
type Durability int

const (
	// Fsync shows and acknowledges records once the disk has them.
	Fsync Durability = iota
	// PageCache shows and acknowledges records once the kernel has them, as Kafka does by default; a power cut or
	// kernel crash can take the newest away.
	PageCache
)

// TimestampType says whose clock a record's timestamp is.
type TimestampType int8

const (
	// CreateTime keeps the producer's timestamps.
	CreateTime TimestampType = iota
	// LogAppendTime replaces them by the time of the append.
	LogAppendTime
)

// LogConfig is the configuration of one log, named as Kafka's topic configuration. In a zero field the default of
// [DefaultLogConfig] applies, except for retention, where Kafka's -1 and 0 keep their meaning.
type LogConfig struct {
	SegmentBytes       int64         // segment.bytes: a new segment before this size is passed; 1 KiB to 2 GiB - 1
	SegmentAge         time.Duration // segment.ms: a new segment when the first record of the active one is this old
	RetentionAge       time.Duration // retention.ms: below 0 keeps for ever; 0 is the default, not "nothing"
	RetentionBytes     int64         // retention.bytes of this partition: below 0 or 0 is no limit
	MaxMessageBytes    int           // max.message.bytes: largest batch
	IndexIntervalBytes int           // index.interval.bytes: log bytes between two index entries
	Compact            bool          // cleanup.policy has compact: the last record of each key is kept, and retention does not apply
	CompactDelete      bool          // cleanup.policy is compact,delete: besides Compact, retention by age and size
	TimestampType      TimestampType // message.timestamp.type
	TimestampBefore    time.Duration // message.timestamp.before.max.ms: how far behind the clock a producer's timestamp may be
	TimestampAfter     time.Duration // message.timestamp.after.max.ms: how far ahead
	DeleteRetention    time.Duration // delete.retention.ms: how long compaction keeps tombstones

	MinCleanableRatio float64       // min.cleanable.dirty.ratio: compacted when more than this part of the log never was; below 0 is always
	MinCompactionLag  time.Duration // min.compaction.lag.ms: how long a record stays out of compaction
	MaxCompactionLag  time.Duration // max.compaction.lag.ms: how long it may
}

// DefaultLogConfig returns Kafka's defaults.
func DefaultLogConfig() LogConfig {
	return LogConfig{
		SegmentBytes:       1 << 30,
		SegmentAge:         7 * 24 * time.Hour,
		RetentionAge:       7 * 24 * time.Hour,
		RetentionBytes:     -1,
		MaxMessageBytes:    1<<20 + 12,
		IndexIntervalBytes: 4096,
		TimestampBefore:    math.MaxInt64,
		TimestampAfter:     time.Hour,
		DeleteRetention:    24 * time.Hour,
		MinCleanableRatio:  0.5,
		MaxCompactionLag:   math.MaxInt64,
	}
}

const (
	minSegmentBytes = 1024
	maxSegmentBytes = math.MaxInt32 // positions in an offset index are int32
)

// filled returns c with zero fields replaced by d's and everything within its range.
func (c LogConfig) filled(d LogConfig) LogConfig {
	if c.SegmentBytes <= 0 {
		c.SegmentBytes = d.SegmentBytes
	}
	c.SegmentBytes = min(max(c.SegmentBytes, minSegmentBytes), maxSegmentBytes)
	if c.SegmentAge <= 0 {
		c.SegmentAge = d.SegmentAge
	}
	if c.RetentionAge == 0 {
		c.RetentionAge = d.RetentionAge
	}
	if c.RetentionBytes == 0 {
		c.RetentionBytes = d.RetentionBytes
	}
	if c.MaxMessageBytes <= 0 {
		c.MaxMessageBytes = d.MaxMessageBytes
	}
	if c.IndexIntervalBytes <= 0 {
		c.IndexIntervalBytes = d.IndexIntervalBytes
	}
	if c.TimestampBefore <= 0 {
		c.TimestampBefore = d.TimestampBefore
	}
	if c.TimestampAfter <= 0 {
		c.TimestampAfter = d.TimestampAfter
	}
	if c.DeleteRetention <= 0 {
		c.DeleteRetention = d.DeleteRetention
	}
	if c.MinCleanableRatio == 0 {
		c.MinCleanableRatio = d.MinCleanableRatio
	}
	if c.MinCompactionLag <= 0 {
		c.MinCompactionLag = d.MinCompactionLag
	}
	if c.MaxCompactionLag <= 0 {
		c.MaxCompactionLag = d.MaxCompactionLag
	}
	return c
}

// DirConfig configures a data directory.
type DirConfig struct {
	Path       string     // created when it is not there
	FS         FS         // nil: the operating system's
	Durability Durability // Fsync unless told otherwise
	Defaults   LogConfig  // for logs found at opening that ConfigOf does not know; zero fields from DefaultLogConfig

	// ConfigOf gives a recovered log its configuration before anything, retention above all, looks at it. Nil, or a
	// false answer: Defaults.
	ConfigOf func(topic string) (LogConfig, bool)

	NodeID    int32  // node.id of meta.properties; another one there is ErrWrongNode
	ClusterID string // cluster.id of meta.properties; empty takes what is there, or a new random one

	ProducerExpiry    time.Duration // producer.id.expiration.ms; 0 is 24 h
	MaxProducers      int           // producer ids one log remembers at most, the longest silent forgotten first; 0 is 10,000
	RetentionInterval time.Duration // log.retention.check.interval.ms; 0 is 5 min, below 0 leaves it to EnforceRetention
	FileDeleteDelay   time.Duration // between taking a segment out of the log and removing its files; 0 removes at once
	FlushLanes        int           // logs that are being flushed at the same time, at most; 0 is 4

	DiskReserve int64 // bytes of the file system that appends leave free, but for those with UseReserve; 0 is none
	DiskBudget  int64 // bytes that all logs together may take before appends are refused; 0 is no limit

	CleanerInterval time.Duration // log.cleaner.backoff.ms: how often to look for logs to compact; 0 is 15 s, below 0 leaves it to Compact
	CleanerMapBytes int64         // log.cleaner.dedupe.buffer.size: memory for keys, at most; a log with more takes several passes. 0 is 16 MiB
	CleanerRate     int64         // log.cleaner.io.max.bytes.per.second: bytes that compaction reads and writes a second; 0 is no limit

	Logger *slog.Logger // nil: discard
}

func (c DirConfig) filled() (DirConfig, error) {
	if c.Path == "" {
		return c, fmt.Errorf("open data directory: no path")
	}
	if c.FS == nil {
		c.FS = OSFS()
	}
	c.Defaults = c.Defaults.filled(DefaultLogConfig())
	if c.ProducerExpiry <= 0 {
		c.ProducerExpiry = 24 * time.Hour
	}
	if c.MaxProducers <= 0 {
		c.MaxProducers = 10_000
	}
	if c.RetentionInterval == 0 {
		c.RetentionInterval = 5 * time.Minute
	}
	if c.CleanerInterval == 0 {
		c.CleanerInterval = 15 * time.Second
	}
	if c.CleanerMapBytes <= 0 {
		c.CleanerMapBytes = 16 << 20
	}
	if c.FlushLanes <= 0 {
		c.FlushLanes = 4
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
