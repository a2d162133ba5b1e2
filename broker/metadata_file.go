package broker

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// metadataFile keeps what the broker has to remember beside its logs: a table of (kind, key) to a JSON value, on disk as
// a log of changes. docs/format/broker.md has its bytes.
//
// A change is on disk when put or remove returns without an error. After an error of the disk nothing is written any more,
// for nobody knows what the file holds then.
type metadataFile struct {
	mu      sync.Mutex
	path    string
	f       *os.File
	table   map[metadataKey]json.RawMessage
	entries int // in the file
	size    int64
	err     error
}

// metadataKey names one thing to remember.
type metadataKey struct {
	Kind string `json:"kind"`
	Key  string `json:"key"`
}

// metadataEntry is one change; a null value takes the key out.
type metadataEntry struct {
	metadataKey
	Value json.RawMessage `json:"value"`
}

const (
	metadataName    = "broker.metadata"
	metadataMagic   = "TRIBMETA"
	metadataVersion = 1
	metadataHeader  = len(metadataMagic) + 4
	maxMetadata     = 16 << 20 // of one entry
)

var metadataCRC = crc32.MakeTable(crc32.Castagnoli)

// readMetadata reads the file in dir without changing it. Where there is none the table is empty.
func readMetadata(dir string) (*metadataFile, error) {
	m := &metadataFile{path: filepath.Join(dir, metadataName), table: make(map[metadataKey]json.RawMessage)}
	b, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	if err := m.replay(b); err != nil {
		return nil, fmt.Errorf("%s: %w", m.path, err)
	}
	return m, nil
}

// replay reads entries up to the end, or to a last one that was never finished: one that ends beyond the file, or
// zeros that a file system put where the bytes should have gone. Anything else that does not hold is an error, since to
// go on would lose what stands behind it.
func (m *metadataFile) replay(b []byte) error {
	if len(b) < metadataHeader || string(b[:len(metadataMagic)]) != metadataMagic {
		return fmt.Errorf("%w: not a metadata file", ErrCorruptMetadata)
	}
	if v := binary.BigEndian.Uint32(b[len(metadataMagic):]); v != metadataVersion {
		return fmt.Errorf("%w: version %d, this program knows %d", ErrCorruptMetadata, v, metadataVersion)
	}
	for rest := b[metadataHeader:]; len(rest) >= 8; {
		n := binary.BigEndian.Uint32(rest)
		sum := binary.BigEndian.Uint32(rest[4:])
		if uint64(n) > uint64(len(rest)-8) || len(bytes.TrimLeft(rest, "\x00")) == 0 {
			return nil
		}
		payload := rest[8 : 8+n]
		last := len(rest) == 8+int(n)
		rest = rest[8+n:]
		if crc32.Checksum(payload, metadataCRC) != sum {
			if last {
				return nil
			}
			return fmt.Errorf("%w: entry %d: CRC does not match", ErrCorruptMetadata, m.entries)
		}
		var e metadataEntry
		if err := json.Unmarshal(payload, &e); err != nil {
			return fmt.Errorf("%w: entry %d: %w", ErrCorruptMetadata, m.entries, err)
		}
		m.entries++
		m.apply(e)
	}
	return nil
}

func (m *metadataFile) apply(e metadataEntry) {
	if len(e.Value) == 0 || string(e.Value) == "null" {
		delete(m.table, e.metadataKey)
		return
	}
	m.table[e.metadataKey] = e.Value
}

// get returns what stands for a key, and whether anything does.
func (m *metadataFile) get(kind, key string) (json.RawMessage, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.table[metadataKey{kind, key}]
	return v, ok
}

// each calls f for everything of one kind. f may not use the file.
func (m *metadataFile) each(kind string, f func(key string, value json.RawMessage) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, v := range m.table {
		if k.Kind != kind {
			continue
		}
		if err := f(k.Key, v); err != nil {
			return fmt.Errorf("%s: %w: %s %q: %w", m.path, ErrCorruptMetadata, kind, k.Key, err)
		}
	}
	return nil
}

// open makes the file ready for changes: it is written anew with nothing in it but what counts.
func (m *metadataFile) open() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rewrite()
}

func (m *metadataFile) rewrite() error {
	b := append([]byte(nil), metadataMagic...)
	b = binary.BigEndian.AppendUint32(b, metadataVersion)
	for k, v := range m.table {
		var err error
		if b, err = appendEntry(b, metadataEntry{k, v}); err != nil {
			return err
		}
	}
	tmp := m.path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600) // it has users' credentials
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, m.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(m.path))
	}
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("write %s: %w", m.path, err)
	}
	if m.f != nil {
		_ = m.f.Close()
	}
	m.f, m.size, m.entries = f, int64(len(b)), len(m.table)
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

func appendEntry(b []byte, e metadataEntry) ([]byte, error) {
	payload, err := json.Marshal(e)
	if err != nil {
		return b, err
	}
	if len(payload) > maxMetadata {
		return b, fmt.Errorf("%s %q takes %d bytes, %d are allowed", e.Kind, e.Key, len(payload), maxMetadata)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(payload, metadataCRC))
	return append(b, payload...), nil
}

// put remembers a value.
func (m *metadataFile) put(kind, key string, value any) error {
	v, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return m.change(metadataEntry{metadataKey{kind, key}, v})
}

// remove forgets a key.
func (m *metadataFile) remove(kind, key string) error {
	return m.change(metadataEntry{metadataKey{kind, key}, json.RawMessage("null")})
}

func (m *metadataFile) change(e metadataEntry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	b, err := appendEntry(nil, e)
	if err != nil {
		return err
	}
	if _, err := m.f.WriteAt(b, m.size); err != nil {
		err = fmt.Errorf("write %s: %w", m.path, err)
		if m.f.Truncate(m.size) != nil {
			m.err = err
		}
		return err
	}
	if err := m.f.Sync(); err != nil {
		m.err = fmt.Errorf("sync %s: %w", m.path, err)
		return m.err
	}
	m.size += int64(len(b))
	m.entries++
	m.apply(e)
	if m.entries > 1000+4*len(m.table) {
		if err := m.rewrite(); err != nil {
			m.err = err // the change itself is safe
		}
	}
	return nil
}

func (m *metadataFile) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.f == nil {
		return nil
	}
	if m.err == nil {
		m.err = ErrClosed
	}
	err := m.f.Close()
	m.f = nil
	return err
}
