package commitlog

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Files of a data directory, Kafka's but for the last.
const (
	fileLock          = ".lock"
	fileClean         = ".kafka_cleanshutdown"
	fileMeta          = "meta.properties"
	fileRecoveryPoint = "recovery-point-offset-checkpoint"
	fileLogStart      = "log-start-offset-checkpoint"
	fileMetadata      = "partition.metadata" // in a partition's directory
	fileProducerIDs   = "producer-id-checkpoint"
)

// cleanMarker is what Kafka's CleanShutdownFileHandler writes.
const cleanMarker = `{"version":0,"brokerEpoch":-1}`

// syncError is an fsync that did not succeed, as opposed to a write, after which the file system can still be used.
type syncError struct{ err error }

func (e *syncError) Error() string { return e.err.Error() }
func (e *syncError) Unwrap() error { return e.err }

// replaceFile writes a file such that a crash leaves the old one or the new one.
func replaceFile(fsys FS, dir, name string, content []byte) error {
	tmp := filepath.Join(dir, name+suffixTemp)
	if err := writeFile(fsys, tmp, content); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, filepath.Join(dir, name)); err != nil {
		return err
	}
	if err := fsys.SyncDir(dir); err != nil {
		return &syncError{err}
	}
	return nil
}

// writeFile writes and syncs a file; its name is for the caller to sync.
func writeFile(fsys FS, name string, content []byte) error {
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(content, 0); err == nil {
		if err = f.Sync(); err != nil {
			err = &syncError{err}
		}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// maxSmallFile bounds what readAll takes into memory.
const maxSmallFile = 256 << 20

func readAll(fsys FS, name string) ([]byte, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > maxSmallFile {
		return nil, fmt.Errorf("%s has %d bytes", name, size)
	}
	b := make([]byte, size)
	return b, readFull(f, b, 0)
}

// checkpointLines takes Kafka's checkpoint format apart: version 0, number of lines, lines.
func checkpointLines(b []byte) ([]string, error) {
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(lines) < 2 || lines[0] != "0" {
		return nil, errors.New("not a checkpoint of version 0")
	}
	if n, err := strconv.Atoi(lines[1]); err != nil || n != len(lines)-2 {
		return nil, fmt.Errorf("%d lines in a checkpoint that says %q", len(lines)-2, lines[1])
	}
	return lines[2:], nil
}

// partitionKey names a log.
type partitionKey struct {
	topic     string
	partition int32
}

func encodeOffsets(m map[partitionKey]int64) []byte {
	lines := make([]string, 0, len(m))
	for k, offset := range m {
		lines = append(lines, fmt.Sprintf("%s %d %d\n", k.topic, k.partition, offset))
	}
	slices.Sort(lines)
	return fmt.Appendf(nil, "0\n%d\n%s", len(lines), strings.Join(lines, ""))
}

func decodeOffsets(b []byte) (map[partitionKey]int64, error) {
	lines, err := checkpointLines(b)
	if err != nil {
		return nil, err
	}
	m := make(map[partitionKey]int64, len(lines))
	for _, line := range lines {
		var k partitionKey
		var offset int64
		if _, err := fmt.Sscanf(line, "%s %d %d", &k.topic, &k.partition, &offset); err != nil || offset < 0 {
			return nil, fmt.Errorf("line %q of a checkpoint", line)
		}
		m[k] = offset
	}
	return m, nil
}

// readOffsets reads a checkpoint. One that is missing or cannot be read holds nothing: recovery then looks at more.
func (d *Dir) readOffsets(name string) map[partitionKey]int64 {
	b, err := readAll(d.fs, d.file(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var m map[partitionKey]int64
	if err == nil {
		m, err = decodeOffsets(b)
	}
	if err != nil {
		d.cfg.Logger.Warn("checkpoint not used", "file", name, "err", err)
	}
	return m
}

// writeRecoveryPoints tells the next start from where on each log has to be looked at.
func (d *Dir) writeRecoveryPoints() error {
	m := make(map[partitionKey]int64)
	for _, l := range d.Logs() {
		l.mu.Lock()
		m[partitionKey{l.topic, l.partition}] = l.recovery
		l.mu.Unlock()
	}
	return d.replace(fileRecoveryPoint, encodeOffsets(m))
}

// writeLogStarts keeps log start offsets that lie beyond the first segment's base, or are about to.
func (d *Dir) writeLogStarts() error {
	m := make(map[partitionKey]int64)
	for _, l := range d.Logs() {
		if low := l.low.Load(); low > 0 {
			m[partitionKey{l.topic, l.partition}] = low
		}
	}
	return d.replace(fileLogStart, encodeOffsets(m))
}

// replace is replaceFile in the data directory; a sync that does not succeed takes it offline.
func (d *Dir) replace(name string, content []byte) error {
	d.replaceMu.Lock()
	defer d.replaceMu.Unlock()
	if err := d.Err(); err != nil {
		return err
	}
	return d.sticky(replaceFile(d.fs, d.cfg.Path, name, content))
}

// sticky passes an error on, and takes the directory offline when it is an fsync's.
func (d *Dir) sticky(err error) error {
	var s *syncError
	if errors.As(err, &s) {
		return d.offline(err)
	}
	return err
}

// loadMeta reads meta.properties, or makes it.
func (d *Dir) loadMeta() error {
	b, err := readAll(d.fs, d.file(fileMeta))
	switch {
	case err == nil:
		p := parseProperties(b)
		if v := p["version"]; v != "1" {
			return fmt.Errorf("%s: version %q", fileMeta, v)
		}
		if v := p["node.id"]; v != strconv.Itoa(int(d.cfg.NodeID)) {
			return fmt.Errorf("%w: %s says node.id %s, configured is %d", ErrWrongNode, fileMeta, v, d.cfg.NodeID)
		}
		d.clusterID = p["cluster.id"]
		if d.cfg.ClusterID != "" && d.clusterID != d.cfg.ClusterID {
			return fmt.Errorf("%w: %s says cluster.id %s, configured is %s", ErrWrongNode, fileMeta, d.clusterID, d.cfg.ClusterID)
		}
		return nil
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	if d.clusterID = d.cfg.ClusterID; d.clusterID == "" {
		d.clusterID = NewID().String()
	}
	content := fmt.Sprintf("cluster.id=%s\ndirectory.id=%s\nnode.id=%d\nversion=1\n", d.clusterID, NewID(), d.cfg.NodeID)
	return d.replace(fileMeta, []byte(content))
}

// parseProperties reads the plain part of Java's properties format, which is all Kafka writes there.
func parseProperties(b []byte) map[string]string {
	p := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if k, v, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			p[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	return p
}

// ID is a Kafka Uuid: 16 bytes, written as 22 characters of URL-safe base64.
type ID [16]byte

// NewID makes a random id that Kafka would make too: version 4, and not beginning with a dash.
func NewID() ID {
	for {
		var id ID
		_, _ = rand.Read(id[:]) // never returns an error
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if id.String()[0] != '-' {
			return id
		}
	}
}

func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(ID{}) {
		return ID{}, fmt.Errorf("id %q is not 22 characters of base64", s)
	}
	return ID(b), nil
}

func encodeMetadata(id [16]byte) []byte {
	return fmt.Appendf(nil, "version: 0\ntopic_id: %s", ID(id))
}

func decodeMetadata(b []byte) (ID, error) {
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "topic_id: "); ok {
			return ParseID(v)
		}
	}
	return ID{}, errors.New("no topic_id")
}
